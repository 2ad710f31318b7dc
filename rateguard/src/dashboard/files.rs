//! The text of the files of the page.

/// The page. Its links are relative, and begin with [`FOLDER`].
pub(super) const INDEX: &str = include_str!("page/index.html");

/// The path of the other files, relative to the address of the page.
pub(super) const FOLDER: &str = "dashboard/";

pub(super) const HTML: &str = "text/html; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";
const JAVASCRIPT: &str = "text/javascript; charset=utf-8";
const SVG: &str = "image/svg+xml";

/// Declares the list of files: names with their media types.
macro_rules! files {
    ($($name:literal: $media_type:ident,)*) => {
        /// The name, the media type and the text of each file except the page itself.
        pub(super) const FILES: &[(&str, &str, &str)] =
            &[$(($name, $media_type, include_str!(concat!("page/", $name)))),*];
    };
}

files! {
    "actions.js": JAVASCRIPT,
    "api.js": JAVASCRIPT,
    "chart.js": JAVASCRIPT,
    "confirm.js": JAVASCRIPT,
    "denied_keys.js": JAVASCRIPT,
    "dom.js": JAVASCRIPT,
    "format.js": JAVASCRIPT,
    "history.js": JAVASCRIPT,
    "icon.svg": SVG,
    "key_fields.js": JAVASCRIPT,
    "main.js": JAVASCRIPT,
    "operations.js": JAVASCRIPT,
    "overrides.js": JAVASCRIPT,
    "overview.js": JAVASCRIPT,
    "policies.js": JAVASCRIPT,
    "policies_file.js": JAVASCRIPT,
    "policy_details.js": JAVASCRIPT,
    "poll.js": JAVASCRIPT,
    "processes.js": JAVASCRIPT,
    "snapshot.js": JAVASCRIPT,
    "style.css": CSS,
    "table_row.js": JAVASCRIPT,
    "text.js": JAVASCRIPT,
    "theme.js": JAVASCRIPT,
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeSet, fs, path::Path};

    use super::*;

    /// The maximum size of all files together in bytes. They are sent without compression.
    const MAX_SIZE: usize = 150_000;

    fn all() -> impl Iterator<Item = (&'static str, &'static str)> {
        FILES.iter().map(|(name, _, text)| (*name, *text)).chain([("index.html", INDEX)])
    }

    #[test]
    fn list_has_every_file_of_the_folder() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/dashboard/page");
        let found = fs::read_dir(folder).unwrap().map(|file| file.unwrap().file_name());
        let found: BTreeSet<_> = found.map(|name| name.into_string().unwrap()).collect();
        assert_eq!(all().map(|(name, _)| name.to_owned()).collect::<BTreeSet<_>>(), found);
    }

    #[test]
    fn files_are_small() {
        let size: usize = all().map(|(_, text)| text.len()).sum();
        assert!(size <= MAX_SIZE, "{size} bytes");
    }

    #[test]
    fn no_file_creates_markup_from_text_or_has_inline_code() {
        let forbidden = [
            "innerHTML",
            "outerHTML",
            "insertAdjacentHTML",
            "document.write",
            "createContextualFragment",
            "DOMParser",
            "setHTML",
            "eval(",
            "new Function",
            "javascript:",
            " style=",
            ".style.",
            " onclick=",
            " onload=",
            " onerror=",
            "http://",
            "https://",
        ];
        for (name, text) in all() {
            // The names of the SVG namespace are no addresses that a browser requests.
            let text = text.replace("http://www.w3.org/2000/svg", "");
            for word in forbidden {
                assert!(!text.contains(word), "{name} contains {word}");
            }
        }
    }

    #[test]
    fn links_of_the_page_lead_to_files_of_the_list() {
        let links: Vec<_> = INDEX
            .split([' ', '>'])
            .filter_map(|word| word.strip_prefix("href=\"").or(word.strip_prefix("src=\"")))
            .map(|link| link.trim_end_matches('"'))
            .filter(|link| !link.starts_with('#'))
            .collect();
        assert!(links.len() >= 4, "{links:?}");
        for link in links {
            let name = link.strip_prefix(FOLDER).unwrap_or_else(|| panic!("{link}"));
            assert!(FILES.iter().any(|(file, ..)| *file == name), "{link}");
        }
    }
}
