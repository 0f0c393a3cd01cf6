//! Counts the fields of an encoded message before it is decoded: decoding makes an object of each message inside,
//! which may be two bytes of the wire.

use prost_reflect::{Kind, MessageDescriptor};

use crate::json::{MAX_DEPTH, MAX_VALUES};

/// How many fields may be encoded. More than values, because entries of maps and well-known types are several fields.
const MAX_FIELDS: usize = 2 * MAX_VALUES;

/// Whether an encoded message of this type has few enough fields to be decoded. What does not follow the encoding is no
/// matter of this function: the decoder says so, and says it better.
pub(super) fn is_small(descriptor: &MessageDescriptor, bytes: &[u8]) -> bool {
    let mut left = MAX_FIELDS;
    count(Some(descriptor), bytes, &mut left, 0).is_some()
}

/// Takes the fields from `left`; `None` when there are more.
fn count(
    descriptor: Option<&MessageDescriptor>,
    mut bytes: &[u8],
    left: &mut usize,
    depth: usize,
) -> Option<()> {
    while !bytes.is_empty() {
        *left = left.checked_sub(1)?;
        let Some(tag) = varint(&mut bytes) else { return Some(()) };
        let skipped = match tag & 7 {
            0 => varint(&mut bytes).map(|_| ()),
            1 => split(&mut bytes, 8).map(|_| ()),
            5 => split(&mut bytes, 4).map(|_| ()),
            2 => {
                let length = varint(&mut bytes).and_then(|length| usize::try_from(length).ok());
                let Some(inner) = length.and_then(|length| split(&mut bytes, length)) else {
                    return Some(());
                };
                let field = u32::try_from(tag >> 3).ok().and_then(|number| descriptor?.get_field(number));
                match field.as_ref().map(|field| (field.kind(), field.is_list())) {
                    Some((Kind::Message(descriptor), _)) if depth < MAX_DEPTH => {
                        count(Some(&descriptor), inner, left, depth + 1)?;
                    }
                    Some((Kind::String | Kind::Bytes | Kind::Message(_), _) | (_, false)) | None => {}
                    // Packed: at least a byte for each.
                    Some((_, true)) => *left = left.checked_sub(inner.len())?,
                }
                Some(())
            }
            // Begin and end of a group: its fields are counted as they come.
            _ => Some(()),
        };
        if skipped.is_none() {
            return Some(());
        }
    }
    Some(())
}

fn split<'a>(bytes: &mut &'a [u8], length: usize) -> Option<&'a [u8]> {
    let (front, back) = bytes.split_at_checked(length)?;
    *bytes = back;
    Some(front)
}

fn varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut number = 0;
    for shift in (0..64).step_by(7) {
        let (first, rest) = bytes.split_first()?;
        *bytes = rest;
        number |= u64::from(first & 0x7f) << shift;
        if first & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}
