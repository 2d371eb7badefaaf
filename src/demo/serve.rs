//! The journey service alone, for trying a sidecar by hand or from another test.

use std::future::Future;
use std::io::Write;

use super::journey::{JourneyOptions, JourneyService};
use super::screen::Screen;
use super::script::DemoError;

/// Serves journeys that the store has already, until `stop`, and says what to try.
pub async fn run<W: Write>(
    options: JourneyOptions,
    ids: &[String],
    screen: &mut Screen<W>,
    stop: impl Future<Output = ()>,
) -> Result<(), DemoError> {
    let service = JourneyService::start(options).map_err(super::fleet::FleetError::Service)?;
    let at = format!("http://{}/api/journeys", service.addr());
    screen.line(&format!(
        "The journey service listens at {at}. Its journeys: {}.\n",
        ids.join(", ")
    ))?;
    if let Some(id) = ids.first() {
        screen.line(&format!(
            "  curl {at}/{id}\n  \
               curl -X PUT {at}/{id}/segments/S01/status -d '{{\"status\":\"Departed\"}}'\n  \
               curl -X PUT {at}/{id}/status -d '{{\"status\":\"Active\"}}'\n\n\
             Two updates at once, and one is lost:\n\n  \
               for n in 1 2; do curl -s -X PUT {at}/{id}/segments/S0$n/status -d '{{\"status\":\"Departed\"}}' & done; \
             wait; curl -s {at}/{id} | grep -o Departed | wc -l\n\n\
             Ctrl-C ends it."
        ))?;
    }
    stop.await;
    service.stop();
    Ok(())
}
