//! Names that products for the inspection of TLS give their authorities.
//!
//! A hint and no more: anybody can choose a name, and companies rename these. Names are general ones of products;
//! none is taken from one company's set-up.

use crate::evidence::Certificate;

/// A part of a name in lower case, and the product.
const NAMES: [(&str, &str); 42] = [
    ("zscaler", "Zscaler"),
    ("fortinet", "Fortinet FortiGate"),
    ("fortigate", "Fortinet FortiGate"),
    ("palo alto", "Palo Alto Networks"),
    ("netskope", "Netskope"),
    ("goskope", "Netskope"),
    ("blue coat", "Symantec ProxySG"),
    ("bluecoat", "Symantec ProxySG"),
    ("proxysg", "Symantec ProxySG"),
    ("mcafee web gateway", "Skyhigh Secure Web Gateway"),
    ("skyhigh", "Skyhigh Secure Web Gateway"),
    ("cisco umbrella", "Cisco Umbrella"),
    ("cisco secure web", "Cisco Secure Web Appliance"),
    ("ironport", "Cisco Secure Web Appliance"),
    ("sophos", "Sophos"),
    ("check point", "Check Point"),
    ("checkpoint", "Check Point"),
    ("squid", "Squid"),
    ("ssl-bump", "Squid"),
    ("mitmproxy", "mitmproxy"),
    ("charles proxy", "Charles"),
    ("portswigger", "Burp Suite"),
    ("fiddler", "Fiddler"),
    ("kaspersky", "Kaspersky"),
    ("eset ssl filter", "ESET"),
    ("avast", "Avast"),
    ("avg technologies", "AVG"),
    ("bitdefender", "Bitdefender"),
    ("watchguard", "WatchGuard"),
    ("fireware", "WatchGuard"),
    ("barracuda", "Barracuda"),
    ("forcepoint", "Forcepoint"),
    ("websense", "Forcepoint"),
    ("iboss", "iboss"),
    ("cloudflare managed", "Cloudflare Gateway"),
    ("gateway ca - cloudflare", "Cloudflare Gateway"),
    ("sonicwall", "SonicWall"),
    ("smoothwall", "Smoothwall"),
    ("opnsense", "OPNsense"),
    ("pfsense", "pfSense"),
    ("menlo security", "Menlo Security"),
    ("cato networks", "Cato Networks"),
];

/// The product that a chain's authorities are named after, if there is one.
pub(super) fn product(chain: &[Certificate]) -> Option<&'static str> {
    let issuers = chain
        .iter()
        .map(|one| one.issuer.as_str().to_ascii_lowercase());
    issuers
        .filter_map(|issuer| NAMES.iter().find(|(name, _)| issuer.contains(name)))
        .map(|(_, product)| *product)
        .next()
}
