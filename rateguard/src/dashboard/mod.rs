//! The web page for operators: its files, and the headers of their responses.
//!
//! The page is a client of the [operator endpoints](crate::operator), and its files are in the folder `page`. They have
//! no build step and no dependencies, and the program contains their text.

mod files;
mod response;

pub(crate) use response::{file, index, index_below};
