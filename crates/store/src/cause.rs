//! What failures of one cause have in common.

const LONGEST: usize = 200;
const LONG_WORD: usize = 8;

/// `detail` with what differs from case to case replaced by `#`: numbers, and words of 8 or more characters that hold a
/// digit (ids, UUIDs, hashes, dates). At most 200 characters. Dead letters with equal causes are grouped.
pub fn cause(detail: &str) -> String {
    let mut cause = String::new();
    let mut rest = detail.trim();
    while !rest.is_empty() && cause.len() < LONGEST {
        let end = rest.find(|c| !in_word(c)).unwrap_or(rest.len());
        let (word, after) = rest.split_at(end);
        push_word(&mut cause, word);
        let gap = after.find(in_word).unwrap_or(after.len());
        let (between, after) = after.split_at(gap);
        cause.extend(between.chars().map(|c| if c.is_control() { ' ' } else { c }));
        rest = after;
    }
    match cause.char_indices().nth(LONGEST) {
        Some((end, _)) => cause[..end].to_owned(),
        None => cause,
    }
}

fn in_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_' || c == '-'
}

fn push_word(cause: &mut String, word: &str) {
    if word.chars().all(|c| !c.is_ascii_digit()) {
        return cause.push_str(word);
    }
    if word.chars().count() >= LONG_WORD {
        return cause.push('#');
    }
    let mut in_number = false;
    for c in word.chars() {
        if !c.is_ascii_digit() {
            cause.push(c);
        } else if !in_number {
            cause.push('#');
        }
        in_number = c.is_ascii_digit();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(detail: &str, expected: &str) {
        assert_eq!(cause(detail), expected);
    }

    #[test]
    fn what_differs_is_replaced() {
        check("status 503 after 30s", "status # after #s");
        check("customer cus_NffrFeUfNV2Hib is unknown", "customer # is unknown");
        check("gid://shopify/Order/820982911946154508", "gid://shopify/Order/#");
        check("id 6ba7b810-9dad-11d1-80b4-00c04fd430c8: gone", "id #: gone");
        check("no value for .body.email", "no value for .body.email");
        check("x509 v1\nline", "x# v# line");
        check("", "");
    }

    #[test]
    fn long_details_end_at_a_character() {
        let cause = cause(&"ä ".repeat(500));
        assert!(cause.chars().count() <= LONGEST);
    }
}
