//! Layers: a tar with one file, in a gzip of stored blocks.
//!
//! The file of the first layer is a program for Linux on x86-64 that waits for SIGTERM, or ends at once: the
//! image of a description runs on a real node. An image for other machines says so in its program, which
//! then starts nowhere else. The rest of every file is noise.
//!
//! Stored blocks need no compressor, give the same bytes with every version of every library,
//! and let a layer have exactly the size that was asked for (the rest is padding in the gzip
//! header), so that times over a link of known bandwidth can be reckoned by hand.

use bytes::Bytes;

use crate::digest::{Algorithm, Digest, Hasher};
use crate::random;

const BLOCK: usize = 512;
/// Header, and two empty blocks at the end.
const TAR_OVERHEAD: usize = 3 * BLOCK;
const STORED_MAX: usize = 65_535;
/// Fixed header, CRC and length.
const GZIP_OVERHEAD: usize = 18;

/// An ELF file of one segment, 120 bytes of headers and then: block SIGINT and SIGTERM, wait for one
/// of them, exit with 0. The first process of a container gets no other signal.
#[rustfmt::skip]
const WAITING: [u8; 176] = [
    // The file's header: 64 bits, little endian, an executable for x86-64, its entry at 0x400078.
    0x7f, b'E', b'L', b'F', 2, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0,
    2, 0, 62, 0, 1, 0, 0, 0, 0x78, 0, 0x40, 0, 0, 0, 0, 0,
    64, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
    0, 0, 0, 0, 64, 0, 56, 0, 1, 0, 0, 0, 0, 0, 0, 0,
    // Its segment: 176 bytes from the start, readable and executable, at 0x400000.
    1, 0, 0, 0, 5, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
    0, 0, 0x40, 0, 0, 0, 0, 0, 0, 0, 0x40, 0, 0, 0, 0, 0,
    176, 0, 0, 0, 0, 0, 0, 0, 176, 0, 0, 0, 0, 0, 0, 0,
    0, 0x10, 0, 0, 0, 0, 0, 0,
    // push 0x4002; rsi = rsp; rdi = SIG_BLOCK; rdx = 0; r10 = 8; rt_sigprocmask
    0x68, 0x02, 0x40, 0, 0, 0x48, 0x89, 0xe6, 0x31, 0xff, 0x31, 0xd2, 0x6a, 8, 0x41, 0x5a,
    0x6a, 14, 0x58, 0x0f, 0x05,
    // rdi = rsp; rsi = 0; rdx = 0; rt_sigtimedwait
    0x48, 0x89, 0xe7, 0x31, 0xf6, 0x31, 0xd2, 0xb8, 128, 0, 0, 0, 0x0f, 0x05,
    // exit_group(0)
    0x31, 0xff, 0xb8, 231, 0, 0, 0, 0x0f, 0x05,
    // hlt, to the end
    0xf4, 0xf4, 0xf4, 0xf4, 0xf4, 0xf4, 0xf4, 0xf4, 0xf4, 0xf4, 0xf4, 0xf4,
];

/// Where the instructions begin.
const ENTRY: usize = 120;
/// exit_group(0), and the same as in the program that waits after it.
const ENDING: [u8; 9] = [0x31, 0xff, 0xb8, 231, 0, 0, 0, 0x0f, 0x05];

/// The program of an image.
#[derive(Clone, Copy, Debug)]
pub(super) struct Program {
    /// The machine it is for, as an ELF file numbers them.
    machine: u8,
    /// Whether it ends at once instead of waiting.
    ends: bool,
}

impl Program {
    pub(super) fn new(architecture: &str, ends: bool) -> Self {
        let machine = match architecture {
            "amd64" => 62,
            "386" => 3,
            "arm64" => 183,
            "arm" => 40,
            "ppc64le" => 21,
            "s390x" => 22,
            "riscv64" => 243,
            // None that there is.
            _ => 0,
        };
        Self { machine, ends }
    }

    fn bytes(self) -> [u8; 176] {
        let mut bytes = WAITING;
        if let Some(machine) = bytes.get_mut(18) {
            *machine = self.machine;
        }
        if self.ends {
            let code = bytes.iter_mut().skip(ENTRY);
            code.zip(ENDING).for_each(|(old, new)| *old = new);
        }
        bytes
    }
}

pub(super) struct Layer {
    pub(super) gzip: Bytes,
    pub(super) diff_id: Digest,
}

/// A layer whose blob is `size` bytes long (at least about 2 KiB), made from `purpose` alone.
pub(super) fn layer(purpose: &str, position: usize, size: u64, program: Program) -> Layer {
    let size = usize::try_from(size).unwrap_or(usize::MAX);
    let tar = tar(purpose, position, content_size(size), program);
    let mut hasher = Hasher::new(Algorithm::Sha256);
    hasher.update(&tar);
    Layer {
        gzip: gzip(&tar, size),
        diff_id: hasher.finish(),
    }
}

/// The largest multiple of a tar block that fits into a gzip of `size` bytes.
fn content_size(size: usize) -> usize {
    let mut blocks = size.saturating_sub(TAR_OVERHEAD) / BLOCK;
    while blocks > 1 && gzip_size(TAR_OVERHEAD + blocks * BLOCK) > size {
        blocks -= 1;
    }
    blocks.max(1) * BLOCK
}

fn gzip_size(content: usize) -> usize {
    GZIP_OVERHEAD + content + 5 * content.div_ceil(STORED_MAX).max(1)
}

fn tar(purpose: &str, position: usize, content: usize, program: Program) -> Vec<u8> {
    let mut tar = header(&format!("layer-{position}.bin"), content);
    tar.reserve(content + 2 * BLOCK);
    if position == 0 {
        tar.extend_from_slice(&program.bytes());
    }
    let mut state = random::derive(0, purpose);
    while tar.len() < BLOCK + content {
        tar.extend_from_slice(&random::step(&mut state).to_le_bytes());
    }
    tar.resize(TAR_OVERHEAD + content, 0);
    tar
}

/// A ustar header.
fn header(name: &str, size: usize) -> Vec<u8> {
    let mut header = Vec::with_capacity(BLOCK);
    let mut field = |text: &str, width: usize| {
        header.extend(text.bytes().chain(std::iter::repeat(0)).take(width));
    };
    field(name, 100);
    field("0000755\0", 8);
    field("0000000\0", 8);
    field("0000000\0", 8);
    field(&format!("{size:011o}"), 12);
    // 2026-01-01T00:00:00Z
    field(&format!("{:011o}", 1_767_225_600), 12);
    field("        ", 8);
    field("0", 1);
    field("", 100);
    field("ustar\x0000", 8);
    field("root", 32);
    field("root", 32);
    field("0000000\0", 8);
    field("0000000\0", 8);
    field("", 155);
    field("", 12);
    let sum: u32 = header.iter().copied().map(u32::from).sum();
    let checksum = format!("{sum:06o}\0 ");
    for (place, byte) in header.iter_mut().skip(148).zip(checksum.bytes()) {
        *place = byte;
    }
    header
}

fn gzip(content: &[u8], want: usize) -> Bytes {
    const EXTRA: u8 = 4;
    let padding = want.saturating_sub(gzip_size(content.len()));
    // An extra field costs two bytes for its length and four for its one sub-field's header.
    let padded = (6..=6 + usize::from(u16::MAX) - 4).contains(&padding);
    let mut out = Vec::with_capacity(gzip_size(content.len()) + padding);
    out.extend([
        0x1f,
        0x8b,
        8,
        if padded { EXTRA } else { 0 },
        0,
        0,
        0,
        0,
        0,
        255,
    ]);
    if padded {
        let length = padding - 2;
        out.extend((length as u16).to_le_bytes());
        out.extend(*b"FR");
        out.extend(((length - 4) as u16).to_le_bytes());
        out.resize(out.len() + length - 4, 0);
    }
    let mut chunks = content.chunks(STORED_MAX).peekable();
    while let Some(chunk) = chunks.next() {
        let length = chunk.len() as u16;
        out.push(u8::from(chunks.peek().is_none()));
        out.extend(length.to_le_bytes());
        out.extend((!length).to_le_bytes());
        out.extend_from_slice(chunk);
    }
    out.extend(crc32(content).to_le_bytes());
    out.extend((content.len() as u32).to_le_bytes());
    Bytes::from(out)
}

fn crc32(bytes: &[u8]) -> u32 {
    static TABLE: [u32; 256] = table();
    !bytes.iter().fold(!0, |crc, byte| {
        let index = usize::from((crc as u8) ^ byte);
        (crc >> 8) ^ TABLE.get(index).copied().unwrap_or_default()
    })
}

#[expect(
    clippy::indexing_slicing,
    reason = "evaluated by the compiler, which checks it"
)]
const fn table() -> [u32; 256] {
    let mut table = [0_u32; 256];
    let mut index = 0;
    while index < 256 {
        let mut crc = index as u32;
        let mut bit = 0;
        while bit < 8 {
            crc = if crc & 1 == 1 {
                (crc >> 1) ^ 0xedb8_8320
            } else {
                crc >> 1
            };
            bit += 1;
        }
        table[index] = crc;
        index += 1;
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    const WAITS: Program = Program {
        machine: 62,
        ends: false,
    };

    #[test]
    fn the_checksum_is_the_standard_one() {
        assert_eq!(crc32(b"123456789"), 0xcbf4_3926);
    }

    #[test]
    fn a_layer_has_the_size_that_was_asked_for() {
        // The few sizes that leave a gap of one to five bytes come out that much smaller.
        for size in [4096, 65_536, 100_000, 1 << 20, (1 << 20) + 7] {
            let made = layer("x", 0, size, WAITS).gzip.len() as u64;
            assert!(size - made < 6, "{made} for {size}");
        }
        assert_eq!(layer("x", 0, 1 << 20, WAITS).gzip.len(), 1 << 20);
        assert!(layer("x", 0, 0, WAITS).gzip.len() < 2200);
    }

    #[cfg(all(target_os = "linux", target_arch = "x86_64"))]
    #[tokio::test]
    async fn the_first_file_is_a_program_that_ends_when_asked() {
        use std::os::unix::fs::PermissionsExt;
        use std::process::Command;
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, program: Program| {
            let path = folder.path().join(name);
            let tar = tar("x", 0, 4096, program);
            std::fs::write(&path, &tar[BLOCK..BLOCK + 4096]).unwrap();
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
            path
        };
        let ends = write("ends", Program::new("amd64", true));
        assert!(Command::new(&ends).status().unwrap().success());
        let other = write("other", Program::new("arm64", false));
        assert!(
            Command::new(&other).spawn().is_err(),
            "it is for another machine"
        );
        let path = write("waits", WAITS);
        let mut child = Command::new(&path).spawn().unwrap();
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        assert!(child.try_wait().unwrap().is_none(), "it waits");
        let kill = ["-c", "kill -TERM $0", &child.id().to_string()].map(ToOwned::to_owned);
        assert!(Command::new("sh").args(kill).status().unwrap().success());
        assert_eq!(child.wait().unwrap().code(), Some(0));
    }

    #[test]
    fn tar_and_gzip_of_the_system_read_a_layer() {
        use std::io::Write;
        use std::process::{Command, Stdio};
        let made = layer("x", 3, 100_000, WAITS);
        let spawned = Command::new("tar")
            .args(["-tvzf", "-"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn();
        let Ok(mut tar) = spawned else {
            eprintln!("skipped: no tar on this machine");
            return;
        };
        tar.stdin.take().unwrap().write_all(&made.gzip).unwrap();
        let output = tar.wait_with_output().unwrap();
        assert!(output.status.success());
        let listing = String::from_utf8(output.stdout).unwrap();
        assert!(
            listing.contains("layer-3.bin") && listing.contains("root/root"),
            "{listing}"
        );
    }
}
