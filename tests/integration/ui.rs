//! Wrong uses of the attribute, and what the compiler says: a file for each in `ui/`.

#[test]
fn every_mistake_is_told_in_our_own_words() {
    trybuild::TestCases::new().compile_fail("ui/*.rs");
}
