for (const [name, figure] of Object.entries(JSON.parse(document.getElementById("figures").textContent))) {
  const place = document.getElementById("figure-" + name);
  const narrow = window.innerWidth < 640;
  figure.layout.dragmode = false;
  if (narrow) figure.layout.font.size = 11;
  Plotly.newPlot(place, figure.data, figure.layout, { responsive: true, displaylogo: false, displayModeBar: false });
  if (name === "examples") {
    place.on("plotly_click", (event) => open_example(event.points[0].customdata));
  }
}
function open_example(index) {
  const example = document.getElementById("example-" + index);
  if (!example) return;
  example.open = true;
  location.hash = example.id;
  example.scrollIntoView({ behavior: "smooth" });
}
const wanted = location.hash.match(/^#example-(\d+)$/);
if (wanted) open_example(wanted[1]);
