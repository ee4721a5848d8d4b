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
pub fn mentions_in_log(row: &[u8]) -> Result<Vec<Mention>, Error> {
    let writes = Segment::from_bytes(row)?.batch.writes;
    let parts = writes.into_iter().flat_map(|write| write.parts);
    Ok(once(parts.flat_map(|part| mentions(&part.doc, &part.update)).collect()))
}

/// Which files a row of a document's contents has it refer to, each once. A member that was seeded knows them from there.
pub fn mentions_in_contents(key: &[u8], row: &[u8]) -> Result<Vec<Mention>, Error> {
    let name = key.split(|&byte| byte == 0).next().unwrap_or_default();
    let name = std::str::from_utf8(name).map_err(|_| Error::malformed("a row of contents has no document's name"))?;
    Ok(once(mentions(&DocName::parse(name)?, row)))
}

fn mentions(doc: &DocName, bytes: &[u8]) -> Vec<Mention> {
    ids_in(bytes).map(|id| Mention { doc: doc.clone(), id: id.to_owned() }).collect()
}

fn once(mut mentions: Vec<Mention>) -> Vec<Mention> {
    mentions.sort();
    mentions.dedup();
    mentions
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
    use super::{ID_DIGITS, Mention, ids_in, mentions_in_contents, mentions_in_log};
    use crate::batch::{Batch, Part, Write};
    use crate::ids::{DocName, Epoch, Lsn, Origin, Seq};
    use crate::segment::Segment;
    use crate::store::content_key;

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
        let found: Vec<(String, String)> = mentions_in_log(&row)
            .expect("it is a row")
            .into_iter()
            .map(|mention| (mention.doc.as_str().to_owned(), mention.id))
            .collect();
        let expected = [("a", &two), ("a", &one), ("b", &two)].map(|(doc, id)| (doc.to_owned(), id.clone()));
        assert_eq!(found, expected);
    }

    #[test]
    fn a_row_of_contents_is_of_the_document_in_its_key() {
        let doc = DocName::parse("a/b").expect("it is a name");
        let id = "3c".repeat(ID_DIGITS / 2);
        let row = format!("\u{2}hw-file:{id}/7 hw-file:{id}/7");
        let found = mentions_in_contents(&content_key(&doc, 3, 0), row.as_bytes()).expect("it is a row");
        assert_eq!(found, [Mention { doc, id }]);
    }

    #[test]
    fn what_is_cut_off_or_of_other_digits_is_no_reference() {
        for text in ["hw-file:", "hw-file:abc", &format!("hw-file:{}", "G".repeat(ID_DIGITS)), "hw-fil"] {
            assert_eq!(ids_in(text.as_bytes()).count(), 0, "{text}");
        }
    }
}
