//! Where our code lies in this process, by `dl_iterate_phdr(3)`.
#![allow(unsafe_code)]

use rustix::fd::BorrowedFd;
use rustix::mm::{MapFlags, ProtFlags};
use std::ffi::{c_int, c_void};
use std::ops::Range;
use std::sync::OnceLock;

/// The program, or the shared library, that holds this crate's code.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Image {
    /// What the loader added to the addresses in the file.
    base: usize,
    /// The executable segments.
    code: Vec<Range<usize>>,
    /// Whether it is the program itself and not a shared library.
    pub(crate) is_program: bool,
}

impl Image {
    /// The image that this function was linked into. It stays where it is.
    pub(crate) fn ours() -> Option<&'static Image> {
        static OURS: OnceLock<Option<Image>> = OnceLock::new();
        let find = || {
            let mut search = Search { objects: 0, found: None };
            // SAFETY: `visit` has the signature that is asked for and `data` is what it expects; both live through
            // the call, which does not keep them.
            unsafe { libc::dl_iterate_phdr(Some(visit), (&raw mut search).cast()) };
            search.found
        };
        OURS.get_or_init(find).as_ref()
    }

    /// An address of ours, relative to the image; `None` for an address that is not our code.
    pub(crate) fn offset_of(&self, address: usize) -> Option<u64> {
        self.holds(address).then(|| address.wrapping_sub(self.base) as u64)
    }

    /// The address of code at such an offset, which anybody may have made up.
    #[cfg(feature = "backtrace")]
    pub(crate) fn address_at(&self, offset: u64) -> Option<usize> {
        Some(self.base.wrapping_add(usize::try_from(offset).ok()?)).filter(|address| self.holds(*address))
    }

    /// The function at an offset that [`offset_of`](Self::offset_of) gave in another process of the same
    /// executable. It must be of type `F`: offsets come from the host alone, for which `F` is one type.
    pub(crate) fn function_at<F: Copy>(&self, offset: u64) -> Option<F> {
        const { assert!(size_of::<F>() == size_of::<usize>()) };
        let address = self.base.wrapping_add(usize::try_from(offset).ok()?);
        if !self.holds(address) {
            return None;
        }
        // SAFETY: the sizes agree; the address is in an executable segment of the same executable in which the
        // host took it from a value of type `F` (its forkserver executes the very file that the host runs).
        Some(unsafe { std::mem::transmute_copy::<usize, F>(&address) })
    }

    fn holds(&self, address: usize) -> bool {
        self.code.iter().any(|segment| segment.contains(&address))
    }
}

struct Search {
    objects: usize,
    found: Option<Image>,
}

/// Called for each loaded object; the first is the program.
unsafe extern "C" fn visit(info: *mut libc::dl_phdr_info, _size: usize, data: *mut c_void) -> c_int {
    // SAFETY: the loader passes a valid description, which lives through this call.
    let info = unsafe { &*info };
    // SAFETY: `ours` passes its own search, to which nobody else has a reference meanwhile.
    let search = unsafe { &mut *data.cast::<Search>() };
    let headers = match info.dlpi_phnum {
        0 => &[][..],
        // SAFETY: the loader says where its program headers are and how many.
        count => unsafe { std::slice::from_raw_parts(info.dlpi_phdr, usize::from(count)) },
    };
    let image = Image {
        base: info.dlpi_addr as usize,
        code: headers.iter().filter(|header| is_code(header)).map(|header| range(info, header)).collect(),
        is_program: search.objects == 0,
    };
    search.objects += 1;
    if image.holds(Image::ours as fn() -> Option<&'static Image> as usize) {
        search.found = Some(image);
    }
    c_int::from(search.found.is_some())
}

#[cfg(target_pointer_width = "64")]
type Header = libc::Elf64_Phdr;

fn is_code(header: &Header) -> bool {
    header.p_type == libc::PT_LOAD && header.p_flags & libc::PF_X != 0
}

fn range(info: &libc::dl_phdr_info, header: &Header) -> Range<usize> {
    let start = (info.dlpi_addr as usize).wrapping_add(header.p_vaddr as usize);
    start..start.saturating_add(header.p_memsz as usize)
}

/// Whether the mapping at `address` is of the file that `file` refers to. The kernel's own names for both are
/// compared, from mappings of both: on btrfs and overlayfs `fstat` tells another device than they do.
pub(crate) fn is_mapped_from(file: BorrowedFd<'_>, address: usize) -> std::io::Result<bool> {
    const PAGE: usize = 4096;
    // SAFETY: a private mapping for reading at an address of the kernel's choice touches nothing that exists.
    let page =
        unsafe { rustix::mm::mmap(std::ptr::null_mut(), PAGE, ProtFlags::READ, MapFlags::PRIVATE, file, 0) }?;
    // Not `self`, whose first thread may have ended.
    let maps = std::fs::read_to_string("/proc/thread-self/maps");
    // SAFETY: the page was mapped by us just now, and nothing refers to it.
    unsafe { rustix::mm::munmap(page, PAGE) }?;
    let maps = maps?;
    let (ours, theirs) = (mapped_file(&maps, address), mapped_file(&maps, page as usize));
    Ok(ours.is_some() && ours == theirs)
}

/// Device and inode of the mapping around an address: `start-end perms offset device inode path`.
fn mapped_file(maps: &str, address: usize) -> Option<(&str, &str)> {
    maps.lines().find_map(|line| {
        let mut fields = line.split_ascii_whitespace();
        let (start, end) = fields.next()?.split_once('-')?;
        let bound = |hex| usize::from_str_radix(hex, 16).ok();
        let is_here = (bound(start)?..bound(end)?).contains(&address);
        let (device, inode) = (fields.nth(2)?, fields.next()?);
        (is_here && inode != "0").then_some((device, inode))
    })
}

#[cfg(test)]
mod tests {
    use super::Image;

    fn here() -> u32 {
        7
    }

    #[test]
    fn a_function_is_found_again_by_its_offset() {
        let image = Image::ours().unwrap();
        assert!(image.is_program);
        let offset = image.offset_of(here as fn() -> u32 as usize).unwrap();
        assert_eq!(image.function_at::<fn() -> u32>(offset).unwrap()(), 7);
    }

    #[test]
    fn data_and_nonsense_are_no_code() {
        static DATA: u8 = 0;
        let image = Image::ours().unwrap();
        assert_eq!(image.offset_of(&raw const DATA as usize), None);
        for offset in [0, 8, u64::MAX, u64::MAX / 2] {
            assert!(image.function_at::<fn()>(offset).is_none() || offset < 8);
        }
    }
}
