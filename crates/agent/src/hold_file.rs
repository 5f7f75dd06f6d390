//! The file HOLD: while it is there, nothing is done. What it is matters little: only a name that leads to nothing says
//! that there is no hold, and whatever cannot be read holds. It is read beside the loop, for a mount may never answer.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel},
    thread,
    time::Duration,
};

use ansai_files::{Kind, ReadError, Why};
use ansai_model::text::Text;

/// Most that is read of it: a reason is a sentence.
const BYTES_MAX: u64 = 400;
/// Longest wait for an answer. It is waited for once; until an answer comes, later looks hold without a wait.
const ANSWER_MAX: Duration = Duration::from_millis(500);
/// How long the reader stays when nothing is asked: with something wrong it is asked again and again.
const IDLE: Duration = Duration::from_secs(10);
/// Whoever reads it needs little more than a path and a sentence.
pub(crate) const STACK_BYTES: usize = 128 << 10;

/// ProbeQueue at the file whenever it is asked to, and never waits for long.
#[derive(Debug)]
pub struct HoldFile {
    path: PathBuf,
    reader: Option<Reader>,
}

/// A thread that reads the file once for each question.
#[derive(Debug)]
struct Reader {
    questions: SyncSender<()>,
    answers: Receiver<Option<Text>>,
    /// Whether a question has no answer yet.
    is_asked: bool,
}

impl HoldFile {
    /// The file at `path`, which is not looked at yet.
    #[must_use]
    pub fn new(path: PathBuf) -> Self {
        Self { path, reader: None }
    }

    /// What the file says, or what it is; none when it is not there. What does not answer holds.
    pub fn look(&mut self) -> Option<Text> {
        // The reader of before may have ended because it was not asked for a while, also at this moment.
        for _ in 0..2 {
            let reader = match &mut self.reader {
                Some(reader) => reader,
                none => match Reader::new(self.path.clone()) {
                    Ok(reader) => none.insert(reader),
                    Err(error) => return Some(Text::new(format!("it cannot be looked at: {error}"))),
                },
            };
            match reader.ask() {
                Some(answer) => return answer,
                None => self.reader = None,
            }
        }
        Some("it cannot be looked at: its reader has ended".into())
    }
}

impl Reader {
    fn new(path: PathBuf) -> std::io::Result<Self> {
        Self::with(IDLE, move || read(&path))
    }

    fn with(idle: Duration, read: impl Fn() -> Option<Text> + Send + 'static) -> std::io::Result<Self> {
        let (questions, asked) = sync_channel(1);
        let (answer, answers) = sync_channel(1);
        let looks = move || {
            while asked.recv_timeout(idle).is_ok() && answer.send(read()).is_ok() {}
        };
        thread::Builder::new().name("hold".into()).stack_size(STACK_BYTES).spawn(looks)?;
        Ok(Self { questions, answers, is_asked: false })
    }

    /// The answer of this moment; none when the thread is gone.
    fn ask(&mut self) -> Option<Option<Text>> {
        if self.is_asked {
            match self.answers.recv_timeout(Duration::ZERO) {
                // It is of the time when it was asked for; what is there now is asked anew.
                Ok(_) => self.is_asked = false,
                Err(RecvTimeoutError::Timeout) => return Some(Some(Self::silent())),
                Err(RecvTimeoutError::Disconnected) => return None,
            }
        }
        self.questions.send(()).ok()?;
        self.is_asked = true;
        match self.answers.recv_timeout(ANSWER_MAX) {
            Ok(answer) => {
                self.is_asked = false;
                Some(answer)
            }
            Err(RecvTimeoutError::Timeout) => Some(Some(Self::silent())),
            Err(RecvTimeoutError::Disconnected) => None,
        }
    }

    fn silent() -> Text {
        "it does not answer; is it on a mount that is gone?".into()
    }
}

/// What the file at `path` says at this moment, as [`HoldFile::look`]. It may wait for its mount, for ever: never to be
/// called on the loop.
pub(crate) fn read(path: &Path) -> Option<Text> {
    let is_link = match fs::symlink_metadata(path) {
        Ok(meta) => meta.is_symlink(),
        Err(error) => {
            let error = ReadError { path: path.to_owned(), why: Why::Io(error) };
            return (!error.is_missing()).then(|| Text::new(format!("it cannot be looked at: {}", error.why)));
        }
    };
    Some(Text::new(match ansai_files::head(path, BYTES_MAX) {
        Ok((bytes, is_cut)) => words(&bytes, is_cut),
        Err(error) if is_link && error.is_missing() => "it is a link to nothing".to_owned(),
        Err(ReadError {
            why: Why::NotRegular(kind @ (Kind::Directory | Kind::Device | Kind::Fifo | Kind::Socket)),
            ..
        }) => {
            format!("it is {kind}")
        }
        Err(error) if is_loop(&error) => "it is a loop of links".to_owned(),
        Err(error) => format!("it cannot be read: {}", error.why),
    }))
}

fn is_loop(error: &ReadError) -> bool {
    matches!(&error.why, Why::Io(error) if error.raw_os_error() == Some(rustix::io::Errno::LOOP.raw_os_error()))
}

/// A sentence for a line: no line breaks, nothing that steers a terminal, and not longer than it was read.
fn words(bytes: &[u8], is_cut: bool) -> String {
    let text = String::from_utf8_lossy(bytes);
    // What is no letter of any kind: control characters, marks that turn the direction of writing, NUL.
    let steers = |c: char| {
        c.is_control() || matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    let text: String = text.chars().map(|c| if steers(c) { ' ' } else { c }).collect();
    let mut text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    if is_cut {
        text.push_str(" …");
    }
    text
}

#[cfg(test)]
mod tests {
    use std::{
        os::unix::{fs::symlink, net::UnixListener},
        sync::{Arc, Mutex, mpsc::sync_channel},
    };

    use rustix::fs::{CWD, FileType, Mode, mknodat};

    use super::*;

    /// What a look says when this is made at the place of HOLD.
    fn held(make: impl FnOnce(&Path)) -> Option<String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("HOLD");
        make(&path);
        HoldFile::new(path).look().map(String::from)
    }

    #[test]
    fn whatever_is_there_holds_and_says_what_it_is() {
        let socket = Mutex::new(None);
        type Make<'a> = &'a dyn Fn(&Path);
        let cases: [(&str, Make<'_>); 10] = [
            ("ticket 7, by hand", &|path| fs::write(path, "ticket 7,\n  by hand\n").unwrap()),
            ("", &|path| fs::write(path, "").unwrap()),
            ("it is a directory", &|path| fs::create_dir(path).unwrap()),
            ("it is a named pipe", &|path| mknodat(CWD, path, FileType::Fifo, Mode::RUSR, 0).unwrap()),
            ("it is a device", &|path| symlink("/dev/zero", path).unwrap()),
            ("it is a socket", &|path| *socket.lock().unwrap() = Some(UnixListener::bind(path).unwrap())),
            ("it is a link to nothing", &|path| symlink("nowhere", path).unwrap()),
            ("it is a link to nothing", &|path| symlink("/etc/passwd/below", path).unwrap()),
            ("it is a loop of links", &|path| symlink("HOLD", path).unwrap()),
            ("a b [31m c", &|path| fs::write(path, "a\0b\x1b[31m\u{202e}c").unwrap()),
        ];
        for (expected, make) in cases {
            assert_eq!(held(make).as_deref(), Some(expected));
        }
    }

    #[test]
    fn only_a_name_that_leads_to_nothing_is_no_hold() {
        assert_eq!(held(|_| {}), None);
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("file"), "").unwrap();
        for path in ["file/HOLD", "none/HOLD"] {
            assert_eq!(HoldFile::new(folder.path().join(path)).look(), None);
        }
        // The way to it is a loop: what lies behind it is not known.
        symlink("way", folder.path().join("way")).unwrap();
        let said = HoldFile::new(folder.path().join("way/HOLD")).look().unwrap();
        assert!(said.as_str().starts_with("it cannot be looked at"), "{said}");
    }

    #[test]
    fn ten_megabytes_are_a_sentence() {
        let text = held(|path| fs::write(path, "why ".repeat(10 << 18)).unwrap()).unwrap();
        assert!(text.len() < 410 && text.starts_with("why why") && text.ends_with("why …"), "{text}");
    }

    #[test]
    fn it_is_seen_when_it_comes_and_when_it_goes() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("HOLD");
        let mut file = HoldFile::new(path.clone());
        for _ in 0..3 {
            assert_eq!(file.look(), None);
            fs::write(&path, "stop").unwrap();
            assert_eq!(file.look(), Some("stop".into()));
            fs::remove_file(&path).unwrap();
        }
    }

    #[test]
    fn a_reader_that_was_not_asked_for_a_while_is_gone_and_comes_back() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("HOLD");
        let mut file = HoldFile::new(path.clone());
        for held in [None, Some(Text::from("stop"))] {
            if let Some(text) = &held {
                fs::write(&path, text.as_str()).unwrap();
            }
            let gone = Reader::with(Duration::ZERO, || None).unwrap();
            // Its end of the line goes with it.
            while !matches!(gone.answers.recv_timeout(Duration::ZERO), Err(RecvTimeoutError::Disconnected)) {}
            file.reader = Some(gone);
            assert_eq!(file.look(), held);
        }
    }

    #[test]
    fn what_does_not_answer_holds_and_is_waited_for_once() {
        let (open, gate) = sync_channel::<()>(2);
        let gate = Mutex::new(gate);
        let answers = Arc::new(Mutex::new(vec![None, Some(Text::from("old"))]));
        let mut reader = Reader::with(IDLE, move || {
            gate.lock().unwrap().recv().unwrap();
            answers.lock().unwrap().pop().unwrap()
        })
        .unwrap();
        assert_eq!(reader.ask(), Some(Some(Reader::silent())));
        // A wait for each of these would be felt: eight minutes.
        for _ in 0..1_000 {
            assert_eq!(reader.ask(), Some(Some(Reader::silent())));
        }
        // The mount is back. The answer to the old question is of an old time: the file is asked for anew.
        open.send(()).unwrap();
        open.send(()).unwrap();
        let answer = (0..1_000_000).find_map(|_| match reader.ask() {
            Some(Some(text)) if text == Reader::silent() => None,
            other => Some(other),
        });
        assert_eq!(answer, Some(Some(None)));
    }
}
