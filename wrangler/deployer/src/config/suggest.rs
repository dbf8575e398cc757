//! "Did you mean …?" for names with a typing error.

/// The candidate that is nearest to `name`, if one is near: at most a third of its letters differ.
#[must_use]
pub fn nearest<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let lower = name.to_lowercase();
    let distances = candidates.into_iter().map(|candidate| (distance(&lower, &candidate.to_lowercase()), candidate));
    let (distance, candidate) = distances.min()?;
    (distance <= candidate.chars().count().div_ceil(3)).then_some(candidate)
}

/// The sentence that follows an unknown name: the nearest of `candidates`, else all of them.
#[must_use]
pub fn sentence<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str> + Clone) -> String {
    match nearest(name, candidates.clone()) {
        Some(candidate) => format!("; did you mean {candidate}?"),
        None => format!("; there are: {}", candidates.into_iter().collect::<Vec<_>>().join(", ")),
    }
}

/// Insertions, deletions and replacements between two words (Levenshtein 1965), row by row.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.chars().enumerate() {
        let mut next = vec![i + 1];
        for (j, to) in b.iter().enumerate() {
            let at = |row: &[usize], index: usize| row.get(index).copied().unwrap_or(usize::MAX - 1);
            let replaced = at(&row, j) + usize::from(from != *to);
            next.push(replaced.min(at(&row, j + 1) + 1).min(at(&next, j) + 1));
        }
        row = next;
    }
    row.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances_are_edits() {
        for (a, b, edits) in [("", "abc", 3), ("kitten", "sitting", 3), ("prefix", "prefix", 0), ("ab", "ba", 2)] {
            assert_eq!((distance(a, b), distance(b, a)), (edits, edits), "{a} {b}");
        }
    }

    #[test]
    fn a_typing_error_finds_its_word_and_nonsense_finds_none() {
        let words = ["prefix", "account_id", "materializations"];
        assert_eq!(nearest("materialisations", words), Some("materializations"));
        assert_eq!(nearest("PREFX", words), Some("prefix"));
        assert_eq!(nearest("zzzzzz", words), None);
        assert_eq!(sentence("zzzzzz", ["a", "b"]), "; there are: a, b");
    }
}
