//! The key of a request for the limit of a macro attribute.

use std::sync::Arc;

use actix_rateguard_core::adapter::KeyRecipe;
use actix_web::{Error, HttpRequest};

use crate::{Caller, key, per_request::RequestResolver};

/// The key of a request, or the function that reads it from the body.
pub enum KeyInput {
    /// The key is not in the body.
    Caller(Result<Caller, Error>),
    /// A part of the key is in the body.
    InBody(RequestResolver<Caller>),
}

impl From<Result<Caller, Error>> for KeyInput {
    fn from(caller: Result<Caller, Error>) -> Self {
        Self::Caller(caller)
    }
}

impl KeyInput {
    /// Returns the input for a key in the policies file.
    pub(super) fn of_recipe(recipe: &Arc<dyn KeyRecipe>, request: &HttpRequest) -> Self {
        if !key::reads_body(&**recipe) {
            return Self::Caller(Ok(key::read(&**recipe, request)));
        }
        let recipe = Arc::clone(recipe);
        Self::InBody(RequestResolver::Sync(Arc::new(move |it| Ok(key::read(&*recipe, it)))))
    }

    /// Returns the key. If it is in the body, RateGuard must have read the body.
    pub(super) async fn resolve(self, request: &HttpRequest) -> Result<Caller, Error> {
        match self {
            Self::Caller(caller) => caller,
            Self::InBody(function) => function.resolve(request).await,
        }
    }
}
