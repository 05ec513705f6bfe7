//! A storm as text, as JSON, as a picture. Nothing is computed here that is not in the storm.

mod json;
#[cfg(feature = "cli")]
mod picture;
mod text;

pub use json::json;
#[cfg(feature = "cli")]
pub use picture::{PictureError, html, svg};
pub use text::{comparison, text};

use std::time::Duration;

/// `25m 3s`, `20h 12m`, `0.4s`.
fn time(time: Duration) -> String {
    let seconds = time.as_secs();
    match seconds {
        0..10 => format!("{:.1}s", time.as_secs_f64()),
        10..60 => format!("{seconds}s"),
        60..3600 => format!("{}m {}s", seconds / 60, seconds % 60),
        _ => format!("{}h {}m", seconds / 3600, seconds % 3600 / 60),
    }
}

/// `1,234,567`.
fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (n, digit) in digits.chars().enumerate() {
        if n > 0 && (digits.len() - n).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `1.5 GiB`.
fn bytes(number: u64) -> String {
    let mut value = number as f64;
    for unit in ["B", "KiB", "MiB", "GiB"] {
        if value < 1024.0 {
            return format!("{} {unit}", trimmed(value));
        }
        value /= 1024.0;
    }
    format!("{} TiB", trimmed(value))
}

fn trimmed(value: f64) -> String {
    if value.fract() < 0.05 || value >= 100.0 {
        format!("{value:.0}")
    } else {
        format!("{value:.1}")
    }
}

fn percent(part: u64, whole: u64) -> String {
    if whole == 0 {
        return "0 %".to_owned();
    }
    format!("{:.0} %", part as f64 * 100.0 / whole as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_as_people_read_them() {
        let s = Duration::from_secs_f64;
        assert_eq!(
            [
                time(s(0.43)),
                time(s(59.9)),
                time(s(1503.0)),
                time(s(72_720.0))
            ],
            ["0.4s", "59s", "25m 3s", "20h 12m"]
        );
        assert_eq!(
            [count(0), count(999), count(1000), count(1_234_567)],
            ["0", "999", "1,000", "1,234,567"]
        );
        assert_eq!(
            [bytes(10), bytes(10 << 20), bytes(3 << 29)],
            ["10 B", "10 MiB", "1.5 GiB"]
        );
        assert_eq!([percent(0, 0), percent(1, 3)], ["0 %", "33 %"]);
    }
}
