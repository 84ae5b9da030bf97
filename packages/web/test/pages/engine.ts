/** What tests call on the page `engine.html`. */

document.title = 'ready';

export {};
