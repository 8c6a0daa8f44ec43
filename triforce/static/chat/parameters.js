import { openDialog } from "./dialog.js";
import { el } from "./dom.js";
import { gettext } from "./text.js";

const STAND_INS = [
  ["", gettext("As usual"), gettext("When the model is away another one may answer, and the answer says which.")],
  ["strict", gettext("Only this model"), gettext("Rather no answer than one from another model.")],
  ["family", gettext("Only its relatives"), gettext("The same model elsewhere, or the stand-in that it names itself.")],
  ["any", gettext("Whoever is there"), gettext("Also goes on with an unlimited model when today's tokens are used up.")],
];

/**
 * How answers are to be: system prompt, temperature, length, stand-ins.
 * @param {{system_prompt: string, parameters: {temperature?: number, max_tokens?: number, substitution?: string}}} settings
 * @param {(settings: Object) => void} onsave
 */
export function openParameters({ system_prompt: words, parameters }, onsave) {
  const prompt = el("textarea", { id: "set-system", rows: 4, value: words, placeholder: gettext("For example: Answer briefly, in points, and name your sources.") });
  const warm = el("input", { type: "checkbox", id: "set-own-temperature", checked: parameters.temperature !== undefined });
  const temperature = el("input", { type: "range", id: "set-temperature", min: 0, max: 2, step: 0.1, value: parameters.temperature ?? 0.7 });
  const shown = el("output", { class: "number", htmlFor: "set-temperature" });
  const length = el("input", { type: "number", id: "set-length", min: 1, max: 131072, value: parameters.max_tokens ?? "", placeholder: "4096", inputMode: "numeric" });
  const standIns = STAND_INS.map(([value, label, help]) => {
    const radio = el("input", { type: "radio", name: "substitution", value, id: `set-${value || "usual"}`, checked: (parameters.substitution ?? "") === value });
    return el("div", { class: "field check" }, radio, el("label", { htmlFor: radio.id }, label), el("p", { class: "help plain" }, help));
  });
  const follow = () => {
    temperature.disabled = !warm.checked;
    shown.textContent = warm.checked ? temperature.value : "";
  };
  warm.addEventListener("change", follow);
  temperature.addEventListener("input", follow);
  follow();
  const form = el(
    "form",
    { method: "dialog" },
    field("set-system", gettext("System prompt"), prompt, gettext("Stands before the conversation and sets the tone. Where it is empty Brumo answers, unless you switched him off.")),
    el("div", { class: "field check" }, warm, el("label", { htmlFor: warm.id }, gettext("A temperature of its own"))),
    el("div", { class: "field" }, el("label", { htmlFor: temperature.id }, gettext("Temperature"), " ", shown), temperature, el("p", { class: "help plain" }, gettext("Low: sober and repeatable. High: playful and surprising."))),
    field("set-length", gettext("Longest answer, in tokens"), length, gettext("Empty: as long as the model usually may.")),
    el("fieldset", {}, el("legend", {}, gettext("When the model is away")), ...standIns),
    el("div", { class: "row end" }, el("button", { class: "button" }, gettext("Save"))),
  );
  form.addEventListener("submit", () => {
    const chosen = form.querySelector("[name=substitution]:checked").value;
    onsave({
      system_prompt: prompt.value.trim(),
      parameters: { ...(warm.checked && { temperature: Number(temperature.value) }), ...(length.value && { max_tokens: Number(length.value) }), ...(chosen && { substitution: chosen }) },
    });
  });
  openDialog(gettext("How answers are to be"), [form], { class: "parameters" });
}

function field(id, label, control, help) {
  return el("div", { class: "field" }, el("label", { htmlFor: id }, label), control, el("p", { class: "help plain" }, help));
}
