/** Names, numbers and elements as the page writes them. */

export const find = (id) => document.getElementById(id);
export const whole = new Intl.NumberFormat("en");
export const percent = (share) => `${share < 0.0995 ? (100 * share).toFixed(1) : Math.round(100 * share)} %`;
export const shortName = (name) => name.replace(/(-(other|merged|stuff))+$/, "") || name;
export const plural = (count, one, more) => `${whole.format(count)} ${count === 1 ? one : more}`;
export const rgb = (color) => `rgb(${color.join(" ")})`;

export const element = (tag, properties = {}, ...children) => {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children);
  return made;
};

