import { ChatPage } from "./page.js";

new ChatPage().begin();
