//! The macro that declares builder methods. Each method calls the method with the same name on the builder of the
//! core crate.

/// Declares methods of `RateGuardBuilder<S>`. Each method calls the method with the same name on the builder of the
/// core crate, and passes the same arguments.
///
/// A bound on `S` is a bound of each method, and not of the `impl`. So if `S` does not satisfy the bound, the compiler
/// reports the error with the message of the trait.
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
    (
        $(#[$of_all:meta])*
        impl[$($parameter:tt)*] for $store:ty where $bounded:ident: $bound:ident;
        $($(#[$attribute:meta])* $name:ident($($argument:ident: $type:ty),*);)*
    ) => {
        $(#[$of_all])*
        impl<$($parameter)*> crate::RateGuardBuilder<$store> {
            $(
                $(#[$attribute])*
                pub fn $name(mut self, $($argument: $type),*) -> Self
                where
                    $bounded: $bound,
                {
                    self.core = self.core.$name($($argument),*);
                    self
                }
            )*
        }
    };
}

pub(super) use core_settings;
