//! Where documents refer to files: a reference is text that begins with a fixed word, and an update holds text as it is.
//!
//! What a reference means and when a file goes is not decided here: the host keeps files beside the node
//! (`docs/decisions/0008`). Updates stay opaque; a reference that was written in pieces is not found.

use crate::error::Error;
use crate::ids::DocName;
use crate::segment::Segment;

/// What every reference begins with. The id of the file follows.
pub const REF_PREFIX: &[u8] = b"hw-file:";
/// How long an id is: SHA-256 in lower-case hexadecimal digits.
pub const ID_DIGITS: usize = 64;

/// One document that an entry of the log has refer to a file.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Mention {
    /// The document.
    pub doc: DocName,
    /// The file's id.
    pub id: String,
}

/// Which documents a row of the log has refer to which files, each pair once.
pub fn mentions_in(row: &[u8]) -> Result<Vec<Mention>, Error> {
    let mut mentions = Vec::new();
    for write in Segment::from_bytes(row)?.batch.writes {
        for part in write.parts {
            let found = ids_in(&part.update).map(|id| Mention { doc: part.doc.clone(), id: id.to_owned() });
            mentions.extend(found);
        }
    }
    mentions.sort();
    mentions.dedup();
    Ok(mentions)
}

/// The ids of all references in some bytes, in their order.
fn ids_in(bytes: &[u8]) -> impl Iterator<Item = &str> {
    let begins = bytes.windows(REF_PREFIX.len()).enumerate().filter(|(_, window)| *window == REF_PREFIX);
    begins.filter_map(|(at, _)| {
        let digits = bytes.get(at + REF_PREFIX.len()..)?.get(..ID_DIGITS)?;
        let is_id = digits.iter().all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f'));
        is_id.then(|| std::str::from_utf8(digits).expect("hexadecimal digits are text"))
    })
}

#[cfg(test)]
mod tests {
    use super::{ID_DIGITS, ids_in, mentions_in};
    use crate::batch::{Batch, Part, Write};
    use crate::ids::{DocName, Epoch, Lsn, Origin, Seq};
    use crate::segment::Segment;

    #[test]
    fn a_row_tells_which_documents_refer_to_which_files() {
        let [one, two] = ["a1", "0f"].map(|pair| pair.repeat(ID_DIGITS / 2));
        let part = |doc: &str, update: String| Part {
            doc: DocName::parse(doc).expect("it is a name"),
            update: update.into_bytes().into(),
        };
        let parts = vec![
            part("a", format!("\u{1}hw-file:{one}/12 and hw-file:{two}/0, hw-file:{one}/12")),
            part("b", format!("hw-file:{two}")),
            part("c", "nothing of hw-file:".to_owned()),
        ];
        let writes = vec![Write { origin: Origin(7), seq: Seq(1), parts }];
        let row = Segment { epoch: Epoch(1), first: Lsn(1), batch: Batch { writes } }.to_bytes();
        let found: Vec<(String, String)> = mentions_in(&row)
            .expect("it is a row")
            .into_iter()
            .map(|mention| (mention.doc.as_str().to_owned(), mention.id))
            .collect();
        let expected = [("a", &two), ("a", &one), ("b", &two)].map(|(doc, id)| (doc.to_owned(), id.clone()));
        assert_eq!(found, expected);
    }

    #[test]
    fn what_is_cut_off_or_of_other_digits_is_no_reference() {
        for text in ["hw-file:", "hw-file:abc", &format!("hw-file:{}", "G".repeat(ID_DIGITS)), "hw-fil"] {
            assert_eq!(ids_in(text.as_bytes()).count(), 0, "{text}");
        }
    }
}
