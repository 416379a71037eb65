// Sends a form with a file by itself, so that the page can say how far it is. Without this the browser sends it.
const form = document.querySelector("form[data-upload]");
const shown = form?.querySelector(".upload-progress");

function send() {
  const request = new XMLHttpRequest();
  const bar = shown.querySelector("progress");
  const words = shown.querySelector("output");
  const button = form.querySelector("button[type=submit]");
  button.disabled = true;
  shown.hidden = false;
  request.upload.addEventListener("progress", (event) => {
    if (!event.lengthComputable) return;
    bar.value = (100 * event.loaded) / event.total;
    words.textContent = `${Math.floor(bar.value)} %`;
  });
  request.addEventListener("load", () => {
    const type = request.getResponseHeader("Content-Type") ?? "";
    if (request.status === 200 && type.startsWith("application/json")) {
      location.assign(JSON.parse(request.responseText).page);
      return;
    }
    if (request.status === 401 || request.status === 403) {
      // Refused before any of the file was read: whoever is signed out, or lost the right, sees so where the page is asked for anew.
      location.reload();
      return;
    }
    // What is wrong stands on the page that the server answered with, under the same address.
    const page = new DOMParser().parseFromString(request.responseText, "text/html");
    const content = page.querySelector("#content");
    if (content) document.querySelector("#content").replaceChildren(...content.childNodes);
    else form.submit();
  });
  for (const kind of ["error", "abort"]) {
    request.addEventListener(kind, () => {
      button.disabled = false;
      shown.hidden = true;
    });
  }
  request.open("POST", form.action || location.href);
  request.setRequestHeader("Accept", "application/json");
  request.send(new FormData(form));
}

form?.addEventListener("submit", (event) => {
  if (!form.querySelector("input[type=file]")?.files.length) return;
  event.preventDefault();
  send();
});
