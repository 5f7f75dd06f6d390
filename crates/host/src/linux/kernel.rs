//! What no safe crate asks: the kernel, whether anybody has a file open, to be the last in line for the disk, to take
//! pages back, and whether its clock is synchronized; the C library, to keep one heap and to trim it. Nothing else of the project is unsafe code.

use std::{
    io,
    os::fd::{AsFd, AsRawFd},
};

/// Which signal tells of a lease, in asm-generic/fcntl.h; libc lacks it for glibc.
const F_SETSIG: libc::c_int = 10;

/// Whether somebody besides `file` has it open, mapped or in use by the kernel itself (a loop device, a swap file, a
/// file server), as the kernel counts it: it grants a write lease only to a sole holder.
///
/// While the lease is held, whoever opens the file waits for us: close it soon, or give it back with [`give_back`].
///
/// # Errors
/// `WouldBlock` when somebody has it open; any other when the kernel does not say.
pub(super) fn take_alone(file: impl AsFd) -> io::Result<()> {
    // The kernel tells the holder of a lease that somebody waits by a signal, which by default would end the program.
    // This one is ignored by default; we do not need to be told.
    fcntl(&file, F_SETSIG, libc::SIGURG)?;
    fcntl(&file, libc::F_SETLEASE, libc::F_WRLCK)
}

/// Gives back what [`take_alone`] took, with the file still open.
///
/// # Errors
/// When the kernel refuses.
pub(super) fn give_back(file: impl AsFd) -> io::Result<()> {
    fcntl(&file, libc::F_SETLEASE, libc::F_UNLCK)
}

#[expect(unsafe_code, reason = "the call takes an open descriptor, which is borrowed, and two numbers")]
fn fcntl(file: &impl AsFd, operation: libc::c_int, argument: libc::c_int) -> io::Result<()> {
    // SAFETY: the descriptor is open for the whole call, and these operations read no memory of ours.
    match unsafe { libc::fcntl(file.as_fd().as_raw_fd(), operation, argument) } {
        -1 => Err(io::Error::last_os_error()),
        _ => Ok(()),
    }
}

/// Makes this thread the last in line for the disk and for the processor. What the kernel refuses is not needed.
#[expect(unsafe_code, reason = "the call takes three numbers")]
pub(super) fn become_idle() {
    const WHO_PROCESS: libc::c_int = 1;
    const CLASS_IDLE: libc::c_int = 3 << 13;
    // SAFETY: the call takes three numbers and reads no memory of ours; 0 is this thread.
    unsafe { libc::syscall(libc::SYS_ioprio_set, WHO_PROCESS, 0, CLASS_IDLE) };
    let _ = rustix::process::setpriority_process(Some(rustix::thread::gettid()), 19);
}

/// Does work on a thread that is the last in line, and that ends with it: no thread gets its old place in the line back.
pub(super) fn idly<T: Send>(work: impl FnOnce() -> T + Send) -> io::Result<T> {
    let idle = || {
        become_idle();
        work()
    };
    std::thread::scope(|threads| {
        let thread = std::thread::Builder::new().name("ansai-idle".into()).spawn_scoped(threads, idle)?;
        thread.join().map_err(|_| io::Error::other("it broke off"))
    })
}

/// Keeps one heap instead of one for each thread that allocates at the same time.
#[cfg_attr(target_env = "gnu", expect(unsafe_code, reason = "the call takes two numbers"))]
pub(super) fn share_one_heap() {
    // SAFETY: a setting of the allocator, two numbers; it may be called at any time. Other C libraries have no such call.
    #[cfg(target_env = "gnu")]
    unsafe {
        libc::mallopt(libc::M_ARENA_MAX, 1)
    };
}

/// Gives the free pages of the heap back.
#[cfg_attr(target_env = "gnu", expect(unsafe_code, reason = "the call takes one number"))]
pub(super) fn trim_heap() {
    // SAFETY: it touches memory that is free, under the allocator's own lock. Other C libraries have no such call.
    #[cfg(target_env = "gnu")]
    unsafe {
        libc::malloc_trim(0)
    };
}

/// What the kernel says of the clock's discipline, as adjtimex(2) has it: the state of the clock and all else. It asks and
/// sets nothing.
///
/// # Errors
/// When it may not be asked, as in a sandbox.
#[expect(unsafe_code, reason = "the call takes a structure of numbers")]
pub(super) fn clock_discipline() -> io::Result<(libc::c_int, libc::timex)> {
    // SAFETY: all of it are numbers, for which zero is a value; zero modes ask the kernel to set nothing.
    let mut answer: libc::timex = unsafe { std::mem::zeroed() };
    // SAFETY: the structure is ours, and lives longer than the call.
    match unsafe { libc::adjtimex(&raw mut answer) } {
        -1 => Err(io::Error::last_os_error()),
        state => Ok((state, answer)),
    }
}

/// Lets the kernel forget the pages of a private mapping. Whoever calls has seen that the mapping is of a file, may not be
/// written, and holds no page that was written: a page that is touched again is the file's.
#[expect(unsafe_code, reason = "the call takes an address that the kernel gave")]
pub(super) fn forget_pages(from: usize, to: usize) {
    // SAFETY: the pages hold what their file holds, so that it makes no difference to the program whether they are mapped
    // now or when they are touched; what is mapped there by now is of the same kind, or is refused.
    unsafe { libc::madvise(from as *mut libc::c_void, to.saturating_sub(from), libc::MADV_DONTNEED) };
}

#[cfg(test)]
mod tests {
    use std::fs::File;

    use super::*;

    #[test]
    fn a_file_that_somebody_has_open_is_not_ours_alone() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("file");
        std::fs::write(&path, "x").expect("written");
        let ours = File::open(&path).expect("opened");
        let theirs = File::open(&path).expect("opened");
        assert_eq!(take_alone(&ours).expect_err("open").kind(), io::ErrorKind::WouldBlock);
        drop(theirs);
        take_alone(&ours).expect("alone");
        give_back(&ours).expect("given back");
    }

    #[test]
    fn a_thread_that_works_in_the_background_is_idle_for_itself_only() {
        // Whoever runs the tests may have given all of them another priority.
        let ours = || rustix::process::getpriority_process(None).expect("known");
        let before = ours();
        let its = std::thread::spawn(move || {
            become_idle();
            ours()
        });
        assert_eq!((its.join().expect("ended"), ours()), (19, before));
    }
}
