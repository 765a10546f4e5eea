//! Where the shared libraries of this process lie.

use std::ffi::{CStr, OsStr};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// Returns the folder of the library that an address, for example that of a function, belongs to.
pub fn folder(address: usize) -> Option<PathBuf> {
    let mut found = libc::Dl_info {
        dli_fname: std::ptr::null(),
        dli_fbase: std::ptr::null_mut(),
        dli_sname: std::ptr::null(),
        dli_saddr: std::ptr::null_mut(),
    };
    let address = std::ptr::without_provenance(address);
    // SAFETY: `found` outlives the call, which fills it; the address is only compared.
    let known = unsafe { libc::dladdr(address, &mut found) } != 0;
    if !known || found.dli_fname.is_null() {
        return None;
    }
    // SAFETY: dladdr gave a C string that lives as long as the library is loaded.
    let file = unsafe { CStr::from_ptr(found.dli_fname) };
    // An rpath leaves `..` in it.
    let folder = Path::new(OsStr::from_bytes(file.to_bytes())).parent()?;
    Some(folder.canonicalize().unwrap_or_else(|_| folder.to_owned()))
}
