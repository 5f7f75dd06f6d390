//! What a log's rotations are called: by numbers, `app.log.2.gz`, or by dates, `app.log-20260131.gz`. A name says only which
//! place a rotation would have in the row; that it is one has to be known otherwise.

/// Suffixes of compressed rotations, besides one that is declared. An owner may have compressed otherwise before.
const COMPRESSED: &[&str] = &[".gz", ".bz2", ".xz", ".zst", ".Z", ".lz4", ".lzma"];
/// The letters of a date, with the digits that stand for each.
const FIELDS: &[(u8, usize)] =
    &[(b'Y', 4), (b'V', 2), (b'm', 2), (b'd', 2), (b'H', 2), (b'M', 2), (b'S', 2), (b's', 10)];
/// More digits are no number of a rotation.
const DIGITS_MAX: usize = 7;

/// A place in the row of rotations. A higher number is older, a higher date younger.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::linux::domain::disk) enum Order {
    Number(u64),
    /// In the order of [`FIELDS`]; what a date does not say is 0.
    Date([u64; 8]),
}

/// What the rotations of one log are called, and where they lie.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::linux::domain::disk) struct Naming {
    /// The folder, absolute.
    pub(in crate::linux::domain::disk) folder: String,
    /// What every name begins with.
    pub(in crate::linux::domain::disk) stem: String,
    /// What follows number or date, as `.log`, before the suffix of a compressed one.
    pub(super) tail: String,
    pub(super) compressed: Option<String>,
    pub(super) scheme: Scheme,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Scheme {
    /// From this number on.
    Numbers(u64),
    Dates(DateFormat),
}

/// A date in a name, part by part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct DateFormat(Vec<Part>);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    Byte(u8),
    /// By its place in [`FIELDS`].
    Field(usize),
}

impl DateFormat {
    /// A format of logrotate; `None` when names made by it cannot be put in order, or told from others.
    pub(super) fn new(format: &str) -> Option<Self> {
        let mut parts = Vec::new();
        let mut bytes = format.bytes();
        while let Some(byte) = bytes.next() {
            if byte != b'%' {
                parts.push(Part::Byte(byte));
                continue;
            }
            let letter = bytes.next()?;
            parts.push(Part::Field(FIELDS.iter().position(|(field, _)| *field == letter)?));
        }
        let has =
            |letter: u8| parts.iter().any(|part| matches!(part, Part::Field(field) if FIELDS[*field].0 == letter));
        let needs = [(b'm', b'Y'), (b'V', b'Y'), (b'd', b'm'), (b'H', b'd'), (b'M', b'H'), (b'S', b'M')];
        let is_whole = needs.iter().all(|(one, other)| !has(*one) || has(*other)) && !(has(b'V') && has(b'm'));
        // Where the stem ends has to be seen.
        let is_apart = matches!(parts.first(), Some(Part::Byte(byte)) if is_mark(*byte));
        (is_apart && (has(b's') || is_whole && has(b'Y'))).then_some(Self(parts))
    }

    fn read(&self, mut text: &[u8]) -> Option<[u64; 8]> {
        let mut date = [0; 8];
        for part in &self.0 {
            match part {
                Part::Byte(byte) => text = text.strip_prefix(&[*byte])?,
                Part::Field(field) => {
                    let (digits, rest) = text.split_at_checked(FIELDS[*field].1)?;
                    date[*field] = number(digits)?;
                    text = rest;
                }
            }
        }
        let [_, week, month, day, hour, minute, second, _] = date;
        let is_date = week <= 53 && month <= 12 && day <= 31 && hour <= 24 && minute <= 60 && second <= 60;
        (text.is_empty() && is_date).then_some(date)
    }
}

impl Naming {
    /// The place of a name in the row, by what follows the stem; `None` when it is not named so.
    pub(in crate::linux::domain::disk) fn order(&self, after_stem: &[u8]) -> Option<Order> {
        let declared = self.compressed.iter().map(String::as_str);
        let suffix = declared.chain(COMPRESSED.iter().copied()).find(|suffix| after_stem.ends_with(suffix.as_bytes()));
        let rest = &after_stem[..after_stem.len() - suffix.map_or(0, str::len)];
        let rest = rest.strip_suffix(self.tail.as_bytes())?;
        match &self.scheme {
            Scheme::Numbers(_) => {
                let digits = rest.strip_prefix(b".")?;
                let is_plain = digits == b"0" || !digits.starts_with(b"0");
                (is_plain && digits.len() <= DIGITS_MAX).then(|| number(digits)).flatten().map(Order::Number)
            }
            Scheme::Dates(format) => format.read(rest).map(Order::Date),
        }
    }

    /// The number of the newest, where they have numbers.
    pub(super) fn first(&self) -> Option<u64> {
        match &self.scheme {
            Scheme::Numbers(first) => Some(*first),
            Scheme::Dates(_) => None,
        }
    }

    /// Where in a name a stem may end: before a mark that is no letter and no digit.
    pub(in crate::linux::domain::disk) fn ends(name: &[u8]) -> impl Iterator<Item = usize> + '_ {
        name.iter().enumerate().filter(|(_, byte)| is_mark(**byte)).map(|(at, _)| at)
    }
}

fn is_mark(byte: u8) -> bool {
    byte.is_ascii_punctuation()
}

fn number(digits: &[u8]) -> Option<u64> {
    let is_number = !digits.is_empty() && digits.iter().all(u8::is_ascii_digit);
    is_number.then(|| digits.iter().fold(0, |all, digit| all * 10 + u64::from(digit - b'0')))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn naming(tail: &str, compressed: Option<&str>, scheme: Scheme) -> Naming {
        let (folder, stem) = ("/var/log".to_owned(), "app.log".to_owned());
        Naming { folder, stem, tail: tail.to_owned(), compressed: compressed.map(str::to_owned), scheme }
    }

    #[track_caller]
    fn check(naming: &Naming, yes: &[(&str, Order)], no: &[&str]) {
        for (rest, order) in yes {
            assert_eq!(naming.order(rest.as_bytes()), Some(*order), "{rest}");
        }
        for rest in no {
            assert_eq!(naming.order(rest.as_bytes()), None, "{rest}");
        }
    }

    #[test]
    fn numbers_are_taken_as_they_are_made_and_hand_made_names_are_not() {
        let plain = naming("", Some(".packed"), Scheme::Numbers(1));
        let number = Order::Number;
        check(
            &plain,
            &[(".1", number(1)), (".12.gz", number(12)), (".3.packed", number(3)), (".0", number(0))],
            &[
                "",
                ".",
                ".gz",
                ".01",
                ".1.save",
                ".1.gz.bak",
                ".1~",
                "-1",
                ".-1",
                ".+1",
                ".12345678",
                ".1.2",
                ".x",
                ".1.tar",
                ".1 ",
            ],
        );
        let tail = naming(".log", None, Scheme::Numbers(1));
        check(&tail, &[(".1.log", number(1)), (".1.log.gz", number(1))], &[".1", ".1.gz", ".log.1"]);
    }

    #[test]
    fn dates_are_taken_in_their_own_format_alone() {
        let of = |format: &str| naming("", None, Scheme::Dates(DateFormat::new(format).expect("a format")));
        let day = |year, month, day| Order::Date([year, 0, month, day, 0, 0, 0, 0]);
        check(
            &of("-%Y%m%d"),
            &[("-20260131", day(2026, 1, 31)), ("-20260131.xz", day(2026, 1, 31))],
            &["-2026013", "-202601311", "-20261331", "-20260131.save", ".20260131", "-2026-01-31", "-20260131-1", ".1"],
        );
        check(&of(".%s"), &[(".1700000000", Order::Date([0, 0, 0, 0, 0, 0, 0, 1_700_000_000]))], &[".170000000"]);
        check(&of("_%d.%m.%Y"), &[("_31.01.2026", day(2026, 1, 31))], &["_2026.01.31"]);
        assert!(day(2026, 1, 31) > day(2025, 12, 1));
    }

    #[test]
    fn formats_that_cannot_be_put_in_order_are_refused() {
        for format in ["", "%Y%m%d", "-%d", "-%m%d", "-%Y%d", "-%y%m%d", "-%Y%", "-x", "-%Y%H", "-%Y%V%m", "a%Y"] {
            assert_eq!(DateFormat::new(format), None, "{format}");
        }
        for format in ["-%Y%m%d", "-%Y%m%d%H", "-%Y-W%V", ".%s", "-%Y", "-%Y%m%d-%H%M%S", "-%d%m%Y"] {
            assert!(DateFormat::new(format).is_some(), "{format}");
        }
    }
}
