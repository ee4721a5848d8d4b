//! Updates arrive in any order; what arrived late must not stay invisible.

use headwater_doc::{Document, Kind};

#[test]
fn a_cycle_of_writers_converges_in_every_order() {
    let mut left = Document::new(1);
    let mut right = Document::new(2);
    let (l, r) = (left.root(Kind::Text, "text").unwrap(), right.root(Kind::Text, "text").unwrap());
    left.text_insert(l, 0, "ab", None).unwrap();
    let first = left.commit().unwrap();
    right.apply(&[&first]).unwrap();
    right.text_insert(r, 1, "cd", None).unwrap();
    let second = right.commit().unwrap();
    left.apply(&[&second]).unwrap();
    let list = left.root(Kind::Array, "list").unwrap();
    left.array_insert(list, 0, vec![1.into()]).unwrap();
    left.text_insert(l, 2, "ef", None).unwrap();
    let third = left.commit().unwrap();
    let updates: [&[u8]; 3] = [&first, &second, &third];
    for order in [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]] {
        let mut all = Document::new(3);
        all.apply(&order.map(|place| updates[place])).unwrap();
        assert!(!all.has_pending(), "{order:?} together");
        assert_eq!(all.fingerprint(), left.fingerprint(), "{order:?} together");
        let mut each = Document::new(4);
        order.iter().for_each(|place| each.apply(&[updates[*place]]).unwrap());
        assert_eq!(each.fingerprint(), left.fingerprint(), "{order:?} one by one");
    }
}
