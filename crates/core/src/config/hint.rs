//! Hints for what was probably meant.

/// `did you mean "x"?` for the candidate that is most like `word`; `None` when none is.
pub fn did_you_mean<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<String> {
    let likeness = |candidate: &str| strsim::jaro_winkler(&word.to_lowercase(), &candidate.to_lowercase());
    candidates
        .into_iter()
        .map(|candidate| (likeness(candidate), candidate))
        .filter(|(likeness, _)| *likeness >= 0.78)
        .max_by(|(a, _), (b, _)| a.total_cmp(b))
        .map(|(_, candidate)| format!("did you mean `{candidate}`?"))
}

/// What was probably meant, else what there is, when that is not too much to read.
pub(super) fn among(word: &str, candidates: &[&str]) -> Option<String> {
    did_you_mean(word, candidates.iter().copied()).or_else(|| match candidates.len() {
        0 => Some("nothing may stand here".to_owned()),
        1..=16 => Some(format!("there are {}", candidates.join(", "))),
        _ => None,
    })
}
