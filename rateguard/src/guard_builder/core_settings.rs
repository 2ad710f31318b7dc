//! The macro that declares builder methods which call the same method of the core crate's builder.

/// Declares methods of `RateGuardBuilder<S>` that call the method with the same name and arguments on the builder
/// of the core crate.
macro_rules! core_settings {
    (
        $(#[$of_all:meta])*
        impl[$($parameter:tt)*] for $store:ty;
        $($(#[$attribute:meta])* $name:ident($($argument:ident: $type:ty),*);)*
    ) => {
        $(#[$of_all])*
        impl<$($parameter)*> crate::RateGuardBuilder<$store> {
            $(
                $(#[$attribute])*
                pub fn $name(mut self, $($argument: $type),*) -> Self {
                    self.core = self.core.$name($($argument),*);
                    self
                }
            )*
        }
    };
}

pub(super) use core_settings;
