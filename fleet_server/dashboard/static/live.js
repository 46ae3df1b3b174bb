// Keeps a page true while it is open: on a change that it shows, it is fetched again and its parts are swapped in.
"use strict";
(() => {
  const kinds = new Set((document.body.dataset.live || "").split(" ").filter(Boolean));
  const sign = document.getElementById("live");
  let timer = 0, fetching = false, again = false;

  async function refresh() {
    if (fetching) { again = true; return; }
    fetching = true;
    try {
      const answer = await fetch(location.href, { headers: { Accept: "text/html" } });
      if (answer.redirected && new URL(answer.url).pathname === "/login") { location.reload(); return; }
      if (!answer.ok) return;
      const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
      for (const part of document.querySelectorAll("[data-part]")) {
        const other = fresh.querySelector(`[data-part="${part.dataset.part}"]`);
        if (other && other.innerHTML !== part.innerHTML && !part.contains(document.activeElement)) {
          part.replaceChildren(...other.childNodes);
        }
      }
    } catch (error) {
      if (!(error instanceof TypeError)) throw error;  // the server is away, which the stream's sign says, or we left the page
    } finally {
      fetching = false;
      if (again) { again = false; soon(); }
    }
  }
  function soon() { if (!timer) timer = setTimeout(() => { timer = 0; refresh(); }, 400); }

  if (kinds.size) {
    const stream = new EventSource("/api/v1/stream");
    stream.addEventListener("open", () => { sign.className = "live on"; sign.textContent = "live"; soon(); });
    stream.addEventListener("error", () => { sign.className = "live"; sign.textContent = "not connected"; });
    stream.addEventListener("change", (event) => { if (kinds.has(JSON.parse(event.data).kind)) soon(); });
    setInterval(soon, 30000);
  }
})();
