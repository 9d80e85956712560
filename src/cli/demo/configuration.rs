//! The proxy's configuration, as the demo writes it to a file and shows it at the end.

use std::net::SocketAddr;

/// Where the services are.
#[derive(Clone, Copy, Debug)]
pub(super) struct Upstreams {
    /// WhatsApp.
    pub(super) whatsapp: SocketAddr,
    /// The mail relay.
    pub(super) email: SocketAddr,
    /// The partner's API.
    pub(super) partner: SocketAddr,
}

/// The whole file.
pub(super) fn configuration(upstreams: &Upstreams) -> String {
    let Upstreams {
        whatsapp,
        email,
        partner,
    } = upstreams;
    format!(
        "\
version: 1
listen: {{proxy: 127.0.0.1:0, admin: 127.0.0.1:0, health: off}}   # ports that the system chooses
presets:
  in-a-hurry:               # the built-in preset `whatsapp`, with shorter times for the show
    extends: whatsapp       # opens after 5 failures in a row
    timeout: 1s             # otherwise 15s
    breaker: {{reset_timeout: 4s}}   # otherwise 60s
routes:
  whatsapp: {{preset: in-a-hurry, upstream: \"http://{whatsapp}\"}}
  email:    {{preset: in-a-hurry, upstream: \"http://{email}\"}}
  partner:  {{preset: in-a-hurry, upstream: \"http://{partner}\"}}
"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::load;

    #[test]
    fn it_is_sound_and_warns_of_nothing() {
        let address = SocketAddr::from(([127, 0, 0, 1], 9));
        let text = configuration(&Upstreams {
            whatsapp: address,
            email: address,
            partner: address,
        });
        let loaded = load(&text, "sidefuse.yaml", &|_| None).unwrap();
        assert_eq!(loaded.plan.routes.len(), 3);
        assert!(loaded.warnings.is_empty());
    }
}
