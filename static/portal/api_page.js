// What the stock page of the API lacks for those who do not see it or use no mouse.
// In a block: pages that write themselves anew after a request run this once more beside what it declared.
{
  const theme = localStorage.getItem("theme");
  if (theme === "light" || theme === "dark") document.documentElement.dataset.theme = theme;
}
document.documentElement.lang = document.currentScript.dataset.lang;
for (const part of document.querySelectorAll(".response-info > pre")) part.tabIndex = 0;
