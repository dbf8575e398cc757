//! Labels in one string: how many there are, then of each two lengths, name and value.
//!
//! Lengths are ASCII characters, so that all of it is a string and no part of it has to be checked again: seven bits each, one
//! for the number of labels and for a name's length less one, two for a value's length less one. [`super::LabelSet`] holds to
//! what fits them: 32 labels, 128 bytes and 1,024 bytes.

use std::cmp::Ordering;

use super::LabelName;

/// Characters before each name.
const HEAD: usize = 3;

const LOW: usize = 0x7f;

fn ascii(seven_bits: usize) -> char {
    char::from(u8::try_from(seven_bits & LOW).unwrap_or_default())
}

/// The labels in their order; no name and no value is empty.
pub(super) fn pack(labels: &[(LabelName, String)]) -> String {
    let bytes = labels.iter().map(|(name, value)| HEAD + name.as_str().len() + value.len());
    let mut packed = String::with_capacity(bytes.sum::<usize>() + 1);
    if !labels.is_empty() {
        packed.push(ascii(labels.len()));
    }
    for (name, value) in labels {
        let (of_name, of_value) = (name.as_str().len().saturating_sub(1), value.len().saturating_sub(1));
        packed.extend([ascii(of_name), ascii(of_value >> 7), ascii(of_value)]);
        packed.push_str(name.as_str());
        packed.push_str(value);
    }
    packed
}

/// How long all names and values are together. Not a look at each: texts ask before they are written.
pub(super) fn text_bytes(packed: &str) -> usize {
    let labels = packed.bytes().next().map_or(0, usize::from);
    packed.len().saturating_sub(1).saturating_sub(labels.saturating_mul(HEAD))
}

/// The lengths of name and value.
fn lengths([of_name, high, low]: [u8; HEAD]) -> (usize, usize) {
    (usize::from(of_name) + 1, (usize::from(high) << 7 | usize::from(low)) + 1)
}

/// Compares by the first label that differs, its name and then its value. Labels of equal lengths, which most are, are
/// compared as they stand there.
pub(super) fn compare(left: &str, right: &str) -> Ordering {
    let mut left = left.as_bytes().get(1..).unwrap_or_default();
    let mut right = right.as_bytes().get(1..).unwrap_or_default();
    while let (Some((of_left, left_text)), Some((of_right, right_text))) =
        (left.split_first_chunk::<HEAD>(), right.split_first_chunk::<HEAD>())
    {
        let ((left_name, left_value), (right_name, right_value)) = (lengths(*of_left), lengths(*of_right));
        let (label, left_rest) = left_text.split_at_checked(left_name + left_value).unwrap_or_default();
        let (other, right_rest) = right_text.split_at_checked(right_name + right_value).unwrap_or_default();
        if of_left != of_right {
            let (name, value) = label.split_at_checked(left_name).unwrap_or_default();
            return (name, value).cmp(&other.split_at_checked(right_name).unwrap_or_default());
        }
        match label.cmp(other) {
            Ordering::Equal => (left, right) = (left_rest, right_rest),
            differs => return differs,
        }
    }
    left.len().cmp(&right.len())
}

/// Name and value of each label that is left.
#[derive(Clone, Debug)]
pub(super) struct Labels<'a> {
    rest: &'a str,
    left: usize,
}

impl<'a> Labels<'a> {
    pub(super) fn of(packed: &'a str) -> Self {
        // An empty one is the set without labels.
        let left = packed.bytes().next().map_or(0, usize::from);
        Self { rest: packed.get(1..).unwrap_or_default(), left }
    }

    fn read(&mut self) -> Option<(&'a str, &'a str)> {
        let (of_name, of_value) = lengths(*self.rest.as_bytes().first_chunk()?);
        let (name, rest) = self.rest.get(HEAD..)?.split_at_checked(of_name)?;
        let (value, rest) = rest.split_at_checked(of_value)?;
        self.rest = rest;
        Some((name, value))
    }
}

impl<'a> Iterator for Labels<'a> {
    type Item = (&'a str, &'a str);

    fn next(&mut self) -> Option<Self::Item> {
        self.left = self.left.checked_sub(1)?;
        self.read()
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

impl ExactSizeIterator for Labels<'_> {}
