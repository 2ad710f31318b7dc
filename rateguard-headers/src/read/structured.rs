//! Parses the Structured Fields (RFC 9651) that report rate limits: lists and dictionaries.

use std::{convert::Infallible, time::Duration};

use percent_encoding::percent_decode_str;
use sfv::{
    BareItemFromInput, KeyRef, Parser,
    visitor::{
        DictionaryVisitor, EntryVisitor, Ignored, InnerListVisitor, ItemVisitor, ListVisitor,
        ParameterVisitor,
    },
};

use super::QuotaUnit;

/// The maximum number of items that are read from a list. Further items are ignored, because a server with a very
/// long list could otherwise make a client slow.
const MAX_ITEMS: usize = 64;

/// An item of a list, with the parameters that the draft defines, and with the parameter `a`, which an open change of
/// the draft proposes.
pub(crate) struct Item {
    pub(crate) subject: Subject,
    pub(crate) q: Option<u64>,
    pub(crate) unit: QuotaUnit,
    w: Option<u64>,
    r: Option<u64>,
    a: Option<u64>,
    t: Option<u64>,
}

impl Item {
    fn new(subject: Subject) -> Self {
        let unit = QuotaUnit::Requests;
        Self { subject, q: None, unit, w: None, r: None, a: None, t: None }
    }

    /// Returns the remaining units in the item: the parameter `r` of the draft, or otherwise the proposed parameter
    /// `a`.
    pub(crate) fn remaining(&self) -> Option<u64> {
        self.r.or(self.a)
    }

    /// Returns the seconds until the reset in the item, which is the parameter `t`.
    ///
    /// The change that proposes `a` also renames `t` to `w`. In an item with `r`, `w` is not a parameter of the draft,
    /// so it is ignored.
    pub(crate) fn reset_seconds(&self) -> Option<u64> {
        let is_proposed_form = self.r.is_none() && self.a.is_some();
        self.t.or(self.w.filter(|_| is_proposed_form))
    }

    /// Returns the window in the item. The result is `None` if the window is missing or 0.
    pub(crate) fn window(&self) -> Option<Duration> {
        self.w.filter(|seconds| *seconds > 0).map(Duration::from_secs)
    }
}

/// The policy that an item describes.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Subject {
    /// The item describes the policy with this name. The percent-encoding of the name is not decoded.
    Policy(String),
    /// The item describes the policy with this quota, because policies have no names in the drafts up to revision
    /// 07.
    Quota(u64),
}

/// The dictionary in the field `RateLimit` of revision 07 of the draft.
#[derive(Default)]
pub(crate) struct Dictionary {
    pub(crate) limit: Option<u64>,
    pub(crate) remaining: Option<u64>,
    pub(crate) reset: Option<u64>,
}

/// Parses the items of a list. An item that describes no policy is ignored. The result is empty if the list is
/// malformed.
pub(crate) fn items(text: &str) -> Vec<Item> {
    let mut list = Items(Vec::new());
    match Parser::new(text).parse_list_with_visitor(&mut list) {
        Ok(()) => list.0,
        Err(_) => Vec::new(),
    }
}

/// Parses a dictionary. The result is empty if the dictionary is malformed.
pub(crate) fn dictionary(text: &str) -> Dictionary {
    let mut dictionary = Dictionary::default();
    match Parser::new(text).parse_dictionary_with_visitor(&mut dictionary) {
        Ok(()) => dictionary,
        Err(_) => Dictionary::default(),
    }
}

/// Returns the window of the first policy that has this quota and a window. An example of such a policy is
/// `100;w=60`, the form in draft-ietf-httpapi-ratelimit-headers up to revision 07.
pub(crate) fn window_of(quota: u64, policies: &[Item]) -> Option<Duration> {
    policies.iter().filter(|item| item.subject == Subject::Quota(quota)).find_map(Item::window)
}

/// Decodes the percent-encoding of a policy name. If the decoded name is not valid UTF-8 or contains control
/// characters, it is not safe in a log, so the encoded name is returned.
pub(crate) fn decoded(name: &str) -> String {
    match percent_decode_str(name).decode_utf8() {
        Ok(decoded) if !decoded.contains(char::is_control) => decoded.into_owned(),
        _ => name.to_owned(),
    }
}

/// Returns the value if it is a non-negative whole number.
fn whole(value: &BareItemFromInput<'_>) -> Option<u64> {
    u64::try_from(value.as_integer()?).ok()
}

/// Returns the quota unit in the parameter `qu`. The draft requires a string, but the parser also accepts a token, as
/// it does for policy names. Any other value is malformed, so the default unit applies.
fn unit(value: &BareItemFromInput<'_>) -> QuotaUnit {
    match value {
        BareItemFromInput::String(name) => QuotaUnit::from_name(name.as_str()),
        BareItemFromInput::Token(name) => QuotaUnit::from_name(name.as_str()),
        _ => QuotaUnit::Requests,
    }
}

struct Items(Vec<Item>);

impl<'de> ListVisitor<'de> for Items {
    type Error = Infallible;

    fn entry(&mut self) -> Result<impl EntryVisitor<'de>, Infallible> {
        Ok((self.0.len() < MAX_ITEMS).then_some(self))
    }
}

impl<'de> EntryVisitor<'de> for &mut Items {
    fn inner_list(self) -> Result<impl InnerListVisitor<'de>, Infallible> {
        Ok(Ignored)
    }
}

impl<'de> ItemVisitor<'de> for &mut Items {
    type Error = Infallible;

    fn bare_item(
        self,
        bare_item: BareItemFromInput<'de>,
    ) -> Result<impl ParameterVisitor<'de>, Infallible> {
        let subject = match &bare_item {
            BareItemFromInput::String(name) => Some(Subject::Policy(name.as_str().to_owned())),
            // Some servers, and some examples of the draft, write names without quotation marks.
            BareItemFromInput::Token(name) => Some(Subject::Policy(name.as_str().to_owned())),
            _ => whole(&bare_item).map(Subject::Quota),
        };
        Ok(subject.and_then(|subject| {
            self.0.push(Item::new(subject));
            self.0.last_mut()
        }))
    }
}

impl<'de> ParameterVisitor<'de> for &mut Item {
    type Error = Infallible;

    fn parameter(
        &mut self,
        key: &'de KeyRef,
        value: BareItemFromInput<'de>,
    ) -> Result<(), Infallible> {
        // If a parameter occurs several times, the last value applies, even if it is invalid (RFC 9651, section
        // 4.2.3.2).
        match key.as_str() {
            "q" => self.q = whole(&value),
            "w" => self.w = whole(&value),
            "r" => self.r = whole(&value),
            "a" => self.a = whole(&value),
            "qu" => self.unit = unit(&value),
            "t" => self.t = whole(&value),
            _ => {}
        }
        Ok(())
    }
}

impl<'de> DictionaryVisitor<'de> for Dictionary {
    type Error = Infallible;

    fn entry(&mut self, key: &'de KeyRef) -> Result<impl EntryVisitor<'de>, Infallible> {
        Ok(match key.as_str() {
            "limit" => Some(Number(&mut self.limit)),
            "remaining" => Some(Number(&mut self.remaining)),
            "reset" => Some(Number(&mut self.reset)),
            _ => None,
        })
    }
}

/// A visitor that stores a parsed number in the referenced `Option`.
struct Number<'a>(&'a mut Option<u64>);

impl<'de> EntryVisitor<'de> for Number<'_> {
    fn inner_list(self) -> Result<impl InnerListVisitor<'de>, Infallible> {
        *self.0 = None;
        Ok(Ignored)
    }
}

impl<'de> ItemVisitor<'de> for Number<'_> {
    type Error = Infallible;

    fn bare_item(
        self,
        bare_item: BareItemFromInput<'de>,
    ) -> Result<impl ParameterVisitor<'de>, Infallible> {
        *self.0 = whole(&bare_item);
        Ok(Ignored)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Vec<(String, [Option<u64>; 4])> {
        items(text)
            .into_iter()
            .map(|item| {
                let (remaining, reset) = (item.remaining(), item.reset_seconds());
                (format!("{:?}", item.subject), [item.q, item.w, remaining, reset])
            })
            .collect()
    }

    #[test]
    fn parameters_are_selected_by_key() {
        for (text, subject, numbers) in [
            (r#""a";q=1;w=2"#, r#"Policy("a")"#, [Some(1), Some(2), None, None]),
            (
                r#""a"; t=4;r=3;c="x";pk=:dHJpYWwxMjEzMjM=:"#,
                r#"Policy("a")"#,
                [None, None, Some(3), Some(4)],
            ),
            ("a;r=3", r#"Policy("a")"#, [None, None, Some(3), None]),
            ("100;w=60", "Quota(100)", [None, Some(60), None, None]),
            (r#""a";r=-1;t=1.5;w="5";q"#, r#"Policy("a")"#, [None; 4]),
            (r#""a";r=1;r=2;t=1;t=x"#, r#"Policy("a")"#, [None, None, Some(2), None]),
        ] {
            assert_eq!(read(text), [(subject.to_owned(), numbers)], "{text}");
        }
    }

    #[test]
    fn proposed_parameters_apply_if_r_is_missing_or_malformed() {
        for (text, remaining, reset) in [
            ("b;a=80;w=45", Some(80), Some(45)),
            ("b;a=80;t=45", Some(80), Some(45)),
            ("b;w=60;t=45;a=80", Some(80), Some(45)),
            ("b;a=0", Some(0), None),
            ("b;r=x;a=80;w=45", Some(80), Some(45)),
            // The parameters of the draft take precedence.
            ("b;r=7;a=80;t=30;w=45", Some(7), Some(30)),
            ("b;a=80;w=45;r=7", Some(7), None),
            ("b;a=-1;w=45", None, None),
            ("b;w=45", None, None),
        ] {
            let [item] = &items(text)[..] else { panic!("{text}") };
            assert_eq!((item.remaining(), item.reset_seconds()), (remaining, reset), "{text}");
        }
    }

    #[test]
    fn quota_unit_is_read_from_a_string_or_token() {
        for (text, unit) in [
            ("b;q=1", QuotaUnit::Requests),
            (r#"b;q=1;qu="requests""#, QuotaUnit::Requests),
            (r#"b;q=1;qu="content-bytes""#, QuotaUnit::ContentBytes),
            (r#"b;qu="concurrent-requests";q=1"#, QuotaUnit::ConcurrentRequests),
            ("b;q=1;qu=content-bytes", QuotaUnit::ContentBytes),
            (r#"b;q=1;qu="Tokens""#, QuotaUnit::Other("Tokens".to_owned())),
            // The last value of a parameter applies, and a malformed value is ignored.
            (r#"b;q=1;qu="content-bytes";qu=5"#, QuotaUnit::Requests),
            ("b;q=1;qu", QuotaUnit::Requests),
            (r#"b;q=1;qu="""#, QuotaUnit::Requests),
        ] {
            assert_eq!(items(text)[0].unit, unit, "{text}");
        }
    }

    #[test]
    fn items_without_a_subject_are_ignored() {
        let text = r#"1.5;r=1, -1;r=1, ("a" "b");r=1, ?1;r=1, :YQ==:;r=1, "c";r=1"#;
        assert_eq!(read(text), [(r#"Policy("c")"#.to_owned(), [None, None, Some(1), None])]);
    }

    #[test]
    fn malformed_list_has_no_items() {
        for text in [
            "",
            r#""a"#,
            r#""a";r=1,"#,
            r#""a";r=1,, "b";r=1"#,
            r#""a";r=1 "b""#,
            r#""a";r=1234567890123456"#,
            r#""ü";r=1"#,
            r#""a";R=1"#,
            r#""a";r=1;"#,
        ] {
            assert_eq!(read(text), [], "{text}");
        }
    }

    #[test]
    fn items_after_the_maximum_are_ignored() {
        let text = vec!["a;r=1"; MAX_ITEMS + 1].join(", ");
        assert_eq!(items(&text).len(), MAX_ITEMS);
    }

    #[test]
    fn valid_percent_encoding_is_decoded() {
        for (encoded, name) in [
            ("gr%C3%B6%C3%9Fe", "größe"),
            ("50%25", "50%"),
            ("50%", "50%"),
            ("%FF", "%FF"),
            ("a%0Ab", "a%0Ab"),
        ] {
            assert_eq!(decoded(encoded), name);
        }
    }
}
