//! A storm as a picture: requests a second, and nodes that run. SVG, or one HTML file that needs no
//! network.

use maud::{DOCTYPE, PreEscaped, html};
use plotters::prelude::*;

use super::{comparison, text};
use crate::outcome::{Step, Storm};
use crate::plan::Plan;

const SIZE: (u32, u32) = (960, 420);
const STEPS: usize = 300;
const STYLE: &str = "body{font-family:system-ui,sans-serif;margin:1rem auto;max-width:62rem;padding:0 1rem}\
    svg{max-width:100%;height:auto}pre{overflow-x:auto}";
const ANSWERED: RGBColor = RGBColor(38, 110, 178);
const REFUSED: RGBColor = RGBColor(200, 60, 50);
const RUNNING: RGBColor = RGBColor(40, 140, 80);

/// A picture that could not be drawn.
#[derive(Debug, thiserror::Error)]
#[error("the picture cannot be drawn: {0}")]
pub struct PictureError(String);

/// The course of a storm.
pub fn svg(storm: &Storm) -> Result<String, PictureError> {
    let mut out = String::new();
    draw(storm, &mut out).map_err(|error| PictureError(error.to_string()))?;
    Ok(out)
}

/// Picture and text of all storms, the first of which is the plan itself.
pub fn html(plan: &Plan, storms: &[(String, Storm)]) -> Result<String, PictureError> {
    let drawn = storms.first().map(|(_, storm)| svg(storm)).transpose()?;
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { "Pull storm" }
                style { (PreEscaped(STYLE)) }
            }
            body {
                h1 { "Pull storm" }
                @if let Some(drawn) = drawn { (PreEscaped(drawn)) }
                @if let Some((_, storm)) = storms.first() { pre { (text(plan, storm)) } }
                @if storms.len() > 1 { pre { (comparison(storms)) } }
            }
        }
    };
    Ok(page.into_string())
}

fn draw(storm: &Storm, out: &mut String) -> Result<(), Box<dyn std::error::Error>> {
    let course = storm.course(STEPS);
    let rate = |count: u64, step: &Step| count as f64 / step.width.max(1) as f64;
    let most = course
        .iter()
        .map(|step| rate(step.answered + step.refused, step))
        .fold(1.0, f64::max);
    let end = course.last().map_or(1, |step| step.from + step.width) as f64 / 60.0;
    let at = |step: &Step| step.from as f64 / 60.0;
    let root = SVGBackend::with_string(out, SIZE).into_drawing_area();
    root.fill(&WHITE)?;
    let mut chart = ChartBuilder::on(&root)
        .margin(12)
        .caption("Requests a second, and nodes that run", ("sans-serif", 18))
        .x_label_area_size(38)
        .y_label_area_size(64)
        .right_y_label_area_size(64)
        .build_cartesian_2d(0.0..end, 0.0..most * 1.05)?
        .set_secondary_coord(0.0..end, 0.0..f64::from(storm.nodes.max(1)) * 1.05);
    chart
        .configure_mesh()
        .light_line_style(TRANSPARENT)
        .x_desc("minutes")
        .y_desc("requests a second")
        .draw()?;
    chart.configure_secondary_axes().y_desc("nodes").draw()?;
    let all = course
        .iter()
        .map(|s| (at(s), rate(s.answered + s.refused, s)));
    chart
        .draw_series(AreaSeries::new(all, 0.0, REFUSED.mix(0.5)))?
        .label("refused")
        .legend(|(x, y)| Rectangle::new([(x, y - 5), (x + 12, y + 5)], REFUSED.mix(0.5).filled()));
    let answered = course.iter().map(|s| (at(s), rate(s.answered, s)));
    chart
        .draw_series(AreaSeries::new(answered, 0.0, ANSWERED.mix(0.7)))?
        .label("answered")
        .legend(|(x, y)| Rectangle::new([(x, y - 5), (x + 12, y + 5)], ANSWERED.mix(0.7).filled()));
    let running = course.iter().map(|s| (at(s), f64::from(s.running)));
    chart
        .draw_secondary_series(LineSeries::new(running, RUNNING.stroke_width(2)))?
        .label("nodes that run")
        .legend(|(x, y)| PathElement::new([(x, y), (x + 12, y)], RUNNING.stroke_width(2)));
    chart
        .configure_series_labels()
        .background_style(WHITE.mix(0.8))
        .border_style(BLACK.mix(0.2))
        .draw()?;
    root.present()?;
    Ok(())
}
