// <button data-opens="id"> opens the dialog with that id; <form method="dialog"> in it and Escape close it.
for (const button of document.querySelectorAll("[data-opens]")) {
  button.addEventListener("click", () => document.getElementById(button.dataset.opens).showModal());
}
