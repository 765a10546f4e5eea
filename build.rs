//! Writes the place of libtorch into the executable, so that it runs without `LD_LIBRARY_PATH`, and tells the code which
//! FFmpeg it is compiled against.

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-env-changed=DEP_TCH_LIBTORCH_LIB");
    // `make dist` sets it: the wheel's libraries lie elsewhere than those that it is linked with. They are sought there before
    // LD_LIBRARY_PATH, which a cluster's modules set, and for libraries of libraries, too: what RPATH does and RUNPATH does not.
    println!("cargo:rerun-if-env-changed=ABAW_RPATH");
    if let Ok(folders) = std::env::var("ABAW_RPATH") {
        println!("cargo:rustc-link-arg=-Wl,--disable-new-dtags,-rpath,{folders}");
    } else if let Ok(lib) = std::env::var("DEP_TCH_LIBTORCH_LIB") {
        println!("cargo:rustc-link-arg=-Wl,-rpath,{lib}");
    }

    for (name, variable) in [
        ("ffmpeg_5", "DEP_FFMPEG_FFMPEG_5_0"),
        ("ffmpeg_7", "DEP_FFMPEG_FFMPEG_7_0"),
    ] {
        println!("cargo:rustc-check-cfg=cfg({name})");
        println!("cargo:rerun-if-env-changed={variable}");
        // ffmpeg-sys-next sets it for this version and all later ones.
        if std::env::var(variable).is_ok_and(|reached| reached == "true") {
            println!("cargo:rustc-cfg={name}");
        }
    }
}
