//! The civil time of this host: the zone that `TZ` names, or else the one of `/etc/localtime`, read from the system's own
//! list of zones. No list is carried in the program, and no folder is searched: one file is read.
//!
//! A zone that cannot be read is UTC, as for the C library, with words about why. It tells nobody; whoever asks does.

use std::{
    ffi::{OsStr, OsString},
    io::ErrorKind,
    path::{Path, PathBuf},
    time::SystemTime,
};

use jiff::tz::TimeZone;

use crate::{ReadError, bytes};

/// Where the system keeps its zones.
const ZONES: &str = "/usr/share/zoneinfo";
/// What says which of them is the host's.
const LOCAL: &str = "/etc/localtime";
/// The largest file of a zone; real ones have less than 4 KiB.
const ZONE_BYTES_MAX: u64 = 64 << 10;
/// The longest name that is looked for, in bytes.
const NAME_BYTES_MAX: usize = 255;
/// Names that need no list of zones on the host.
const UTC_NAMES: &[&str] = &["UTC", "UTC0", "Etc/UTC", "GMT", "GMT0", "Etc/GMT", "Z", "Zulu", "Universal", "UCT"];
/// When summer is, for a zone in the old form that does not say; it is what the C library takes as well.
const SUMMER: &str = ",M3.2.0,M11.1.0";

/// A zone, and why it is not the one that was asked for.
#[derive(Clone, Debug)]
pub struct Zone {
    /// The zone; UTC when the one that was asked for is not known.
    pub zone: TimeZone,
    /// What is wrong, in words, when something is.
    pub trouble: Option<String>,
}

/// The zone of this process, as its environment and the host say now.
#[must_use]
pub fn system() -> Zone {
    of(std::env::var_os("TZ"), Path::new(ZONES), Path::new(LOCAL))
}

/// When the host was last given a zone: of the link itself, which is made anew then. Nothing where it has none.
#[must_use]
pub fn changed_at() -> Option<SystemTime> {
    changed(Path::new(LOCAL))
}

fn changed(local: &Path) -> Option<SystemTime> {
    std::fs::symlink_metadata(local).and_then(|link| link.modified()).ok()
}

fn of(asked: Option<OsString>, zones: &Path, local: &Path) -> Zone {
    let Some(asked) = asked else { return of_host(local) };
    match named(&asked, zones) {
        Some(zone) => Zone { zone, trouble: None },
        None => {
            let shown: String = asked.to_string_lossy().chars().take(NAME_BYTES_MAX).collect();
            let why = match zones.is_dir() {
                true => "there is no such time zone".to_owned(),
                false => format!("this host has no list of time zones ({}: install tzdata)", zones.display()),
            };
            Zone { zone: TimeZone::UTC, trouble: Some(format!("TZ={shown}: {why}; times are UTC")) }
        }
    }
}

/// The zone of the host; without a file it is UTC, which is what its absence means.
fn of_host(local: &Path) -> Zone {
    let utc = |trouble| Zone { zone: TimeZone::UTC, trouble };
    let wrong = |why: String| utc(Some(format!("the time zone of {}: {why}; times are UTC", local.display())));
    match read(local) {
        Ok(Some(zone)) => Zone { zone, trouble: None },
        Ok(None) => wrong("it is no file of a time zone".to_owned()),
        Err(error) if !error.is_missing() => wrong(error.why.to_string()),
        Err(_) => match std::fs::read_link(local) {
            Ok(target) if is_utc(&target) => utc(None),
            Ok(target) => wrong(format!("{} is not there (install tzdata)", target.display())),
            Err(error) if error.kind() == ErrorKind::NotFound => utc(None),
            Err(error) => wrong(error.to_string()),
        },
    }
}

/// Whether a file of a zone that is not there would be of UTC.
fn is_utc(target: &Path) -> bool {
    let name = target.to_string_lossy();
    name.rsplit_once("zoneinfo/").is_some_and(|(_, name)| UTC_NAMES.contains(&name))
}

/// A zone by what `TZ` says: a name of the list, a path, or the old form as `EST5EDT,M3.2.0,M11.1.0`.
fn named(asked: &OsStr, zones: &Path) -> Option<TimeZone> {
    let text = asked.to_str().filter(|text| text.len() <= NAME_BYTES_MAX)?;
    let name = text.strip_prefix(':').unwrap_or(text);
    // Set to nothing it means UTC.
    if name.is_empty() || UTC_NAMES.contains(&name) {
        return Some(TimeZone::UTC);
    }
    let path = match name.starts_with('/') {
        true => PathBuf::from(name),
        false => zones.join(name),
    };
    let climbs = Path::new(name).components().any(|part| part == std::path::Component::ParentDir);
    let found = if climbs { None } else { read(&path).ok().flatten() };
    // What begins with a colon is no zone in the old form.
    found.or_else(|| (name == text).then(|| old_form(text)).flatten())
}

fn old_form(text: &str) -> Option<TimeZone> {
    let is_plain = |text: &str| text.bytes().all(|byte| byte.is_ascii_graphic());
    let rule = Some(text).filter(|text| is_plain(text))?;
    let with_summer = || TimeZone::posix(&format!("{rule}{SUMMER}")).ok().filter(|_| !rule.contains(','));
    TimeZone::posix(rule).ok().or_else(with_summer)
}

/// The zone in a file; none when that is a file of something else.
fn read(path: &Path) -> Result<Option<TimeZone>, ReadError> {
    let name = path.to_string_lossy();
    let name = name.rsplit_once("zoneinfo/").map_or("", |(_, name)| name);
    Ok(TimeZone::tzif(name, &bytes(path, ZONE_BYTES_MAX)?).ok())
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::symlink};

    use jiff::Timestamp;

    use super::*;

    /// A file of a zone in its second form, which holds nothing but a rule.
    fn file(rule: &str) -> Vec<u8> {
        let header = |types: u8, letters: u8| {
            let mut header = b"TZif2".to_vec();
            header.extend([0; 15]);
            for count in [0, 0, 0, 0, types, letters] {
                header.extend([0, 0, 0, count]);
            }
            header
        };
        let data = [0, 0, 0, 0, 0, 0, b'L', b'M', b'T', 0];
        [&header(1, 4)[..], &data, &header(1, 4), &data, b"\n", rule.as_bytes(), b"\n"].concat()
    }

    fn host() -> tempfile::TempDir {
        let host = tempfile::tempdir().expect("a folder");
        let zones = host.path().join("zoneinfo");
        fs::create_dir_all(zones.join("America")).expect("made");
        fs::write(zones.join("America/New_York"), file("EST5EDT,M3.2.0,M11.1.0")).expect("written");
        fs::write(zones.join("tzdata.zi"), "# version 2026a").expect("written");
        fs::write(host.path().join("secret"), "s3cret").expect("written");
        host
    }

    /// A day of July in the zone that comes of `TZ`, and what is said.
    fn july(host: &Path, asked: Option<&str>) -> (String, Option<String>) {
        let found = of(asked.map(OsString::from), &host.join("zoneinfo"), &host.join("localtime"));
        let at = Timestamp::from_second(1_783_000_000).expect("a time").to_zoned(found.zone);
        (at.strftime("%H:%M %Z").to_string(), found.trouble)
    }

    #[test]
    fn a_zone_is_known_by_every_way_in_which_the_system_writes_it() {
        let host = host();
        let path = host.path().join("zoneinfo/America/New_York").display().to_string();
        for asked in ["America/New_York", ":America/New_York", &path, "EST5EDT", "EST5EDT,M3.2.0,M11.1.0"] {
            assert_eq!(july(host.path(), Some(asked)), ("09:46 EDT".to_owned(), None), "{asked}");
        }
        for asked in ["", ":", "UTC", ":UTC", "Etc/UTC", "UTC0"] {
            assert_eq!(july(host.path(), Some(asked)), ("13:46 UTC".to_owned(), None), "{asked}");
        }
        assert_eq!(july(host.path(), Some("<+0330>-3:30")), ("17:16 +0330".to_owned(), None));
    }

    #[test]
    fn what_is_no_zone_is_utc_and_said() {
        let host = host();
        let long = "x".repeat(5_000);
        for asked in ["Mars/Base", "tzdata.zi", "America", "../secret", "/etc/passwd", "EST5 \u{1b}[2J", &long] {
            let (time, trouble) = july(host.path(), Some(asked));
            let trouble = trouble.expect("it is said");
            assert!(time == "13:46 UTC" && trouble.contains("there is no such time zone"), "{asked}: {trouble}");
            assert!(!trouble.contains("s3cret") && trouble.len() < 400, "{trouble}");
        }
        fs::remove_dir_all(host.path().join("zoneinfo")).expect("removed");
        let (time, trouble) = july(host.path(), Some("America/New_York"));
        assert!(
            time == "13:46 UTC" && trouble.as_ref().is_some_and(|why| why.contains("install tzdata")),
            "{trouble:?}"
        );
        assert_eq!(july(host.path(), Some("EST5EDT")).0, "09:46 EDT");
    }

    #[test]
    fn a_host_that_is_given_another_zone_has_another_stamp() {
        let host = host();
        let local = host.path().join("localtime");
        assert_eq!(changed(&local), None);
        symlink("/nowhere/zoneinfo/Mars/Base", &local).expect("made");
        let first = changed(&local).expect("the link is there, whatever it leads to");
        // What is made anew has a later time, as soon as the clock of the file system has gone on.
        while changed(&local) == Some(first) {
            fs::remove_file(&local).expect("removed");
            symlink(host.path().join("zoneinfo/America/New_York"), &local).expect("made");
        }
        assert!(changed(&local) > Some(first));
    }

    #[test]
    fn a_host_without_its_zones_is_told_of_and_one_without_a_zone_is_not() {
        let host = host();
        let local = host.path().join("localtime");
        assert_eq!(july(host.path(), None), ("13:46 UTC".to_owned(), None));
        symlink(host.path().join("zoneinfo/America/New_York"), &local).expect("made");
        assert_eq!(july(host.path(), None), ("09:46 EDT".to_owned(), None));
        fs::remove_dir_all(host.path().join("zoneinfo")).expect("removed");
        let (time, trouble) = july(host.path(), None);
        assert!(
            time == "13:46 UTC" && trouble.as_ref().is_some_and(|why| why.contains("install tzdata")),
            "{trouble:?}"
        );
        fs::remove_file(&local).expect("removed");
        symlink("/nowhere/zoneinfo/Etc/UTC", &local).expect("made");
        assert_eq!(july(host.path(), None), ("13:46 UTC".to_owned(), None));
        fs::remove_file(&local).expect("removed");
        fs::write(&local, "no zone").expect("written");
        assert!(july(host.path(), None).1.is_some_and(|why| why.contains("no file of a time zone")));
    }
}
