//! Whatever lies under the name, an answer comes at once, within its bound, and in words.

use std::{
    fmt,
    fs::{self, File},
    io::{self, ErrorKind},
    os::unix::{fs::symlink, net::UnixListener},
    path::Path,
};

use ansai_files::{ReadError, Why, bytes, head, head_text, tail, text};
use rustix::fs::{CWD, FileType as Type, Mode, mknodat};

fn said<T: fmt::Debug>(result: Result<T, ReadError>) -> String {
    result.expect_err("it is refused").to_string()
}

#[test]
fn only_regular_files_are_read_and_each_other_kind_has_its_word() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = |name: &str| folder.path().join(name);
    mknodat(CWD, path("pipe"), Type::Fifo, Mode::RUSR, 0).expect("a pipe");
    let _socket = UnixListener::bind(path("socket")).expect("a socket");
    symlink("/dev/zero", path("device")).expect("a link");
    symlink(path("pipe"), path("to-pipe")).expect("a link");
    let kinds = [
        ("pipe", "a named pipe"),
        ("to-pipe", "a named pipe"),
        ("socket", "a socket"),
        ("device", "a device"),
        (".", "a directory"),
    ];
    for (name, word) in kinds {
        let said = said(bytes(&path(name), 10));
        assert!(said.contains(&format!("{name}: it is {word}, and only a regular file is read")), "{said}");
    }
}

#[test]
fn a_bound_holds_to_the_byte_and_a_head_says_that_there_is_more() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("a");
    fs::write(&path, "12345").expect("room");
    assert_eq!(text(&path, 5).expect("it fits"), "12345");
    assert!(said(bytes(&path, 4)).contains("it has more than 4 bytes"));
    assert_eq!(head(&path, 4).expect("a part"), (b"1234".to_vec(), true));
    assert_eq!(head(&path, 5).expect("all"), (b"12345".to_vec(), false));
    // A hole of a terabyte costs no more than its bound.
    File::options().write(true).open(&path).and_then(|file| file.set_len(1 << 40)).expect("a hole");
    assert!(matches!(bytes(&path, 1 << 16), Err(ReadError { why: Why::TooLarge(_), .. })));
}

#[test]
fn what_is_not_there_is_told_from_what_may_not_be_seen() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = |name: &str| folder.path().join(name);
    symlink(path("loop"), path("loop")).expect("a link");
    fs::write(path("latin"), b"gr\xfcn").expect("room");
    assert!(bytes(&path("none"), 1).expect_err("none").is_missing());
    assert!(!bytes(&path("loop"), 1).expect_err("a loop").is_missing());
    assert!(said(text(&path("latin"), 9)).contains("byte 2 is no UTF-8"));
    assert_eq!(head_text(&path("latin"), 9).expect("a part"), "gr\u{fffd}n");
    let error = io::Error::from(bytes(&path("."), 1).expect_err("a folder"));
    assert_eq!(error.kind(), ErrorKind::IsADirectory);
}

#[test]
fn of_a_file_that_grows_the_end_is_read() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("a");
    fs::write(&path, "12345").expect("room");
    assert_eq!(tail(&path, 2).expect("its end"), b"45");
    assert_eq!(tail(&path, 9).expect("all"), b"12345");
    mknodat(CWD, folder.path().join("pipe"), Type::Fifo, Mode::RUSR, 0).expect("a pipe");
    assert!(said(tail(&folder.path().join("pipe"), 2)).contains("it is a named pipe"));
}

#[test]
fn the_kernels_files_have_no_size_and_are_read() {
    assert!(
        text(Path::new("/proc/self/stat"), 4096).expect("it is there").starts_with(&std::process::id().to_string())
    );
}

#[test]
fn what_the_system_says_is_told_without_its_numbers() {
    let told = |code: i32| ansai_files::said(&std::io::Error::from_raw_os_error(code));
    assert_eq!(told(2), "there is no such file or folder");
    assert_eq!(told(28), "its filesystem is full");
    assert_eq!(told(30), "what it lies on can only be read");
    for code in 1..134 {
        assert!(!told(code).contains("os error"), "{}", told(code));
    }
    for (text, words) in [
        ("Connection error: Connection refused (os error 111)", "Connection error: Connection refused"),
        ("a (os error 2): b (os error 13), c", "a: b, c"),
        ("a (os error of mine) (os error 2", "a (os error of mine) (os error 2"),
    ] {
        assert_eq!(ansai_files::unnumbered(text), words);
    }
    let own = std::io::Error::other("a drill has broken it already");
    assert_eq!(ansai_files::said(&own), "a drill has broken it already");
}
