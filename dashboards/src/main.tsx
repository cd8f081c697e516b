import { Match, Show, Switch, createSignal, onMount } from "solid-js";
import { render } from "solid-js/web";
import { Inbox } from "./alerts";
import { get, setToken, token } from "./api";
import { language, setLanguage, setUtc, t, utc } from "./i18n";
import { Overview } from "./overview";
import { SearchPage } from "./search";
import "./style.css";

function Login(props: { done: () => void }) {
  const [problem, setProblem] = createSignal(false);
  let input!: HTMLInputElement;
  const submit = async (): Promise<void> => {
    setToken(input.value.trim());
    try {
      await get("/whoami");
      props.done();
    } catch {
      setToken("");
      setProblem(true);
    }
  };
  return (
    <form class="panel login" onSubmit={(e) => { e.preventDefault(); void submit(); }}>
      <h1>見張り mihari</h1>
      <label>{t("token")}<input ref={input} type="password" name="token" autocomplete="off" placeholder={t("tokenHint")} autofocus /></label>
      <Show when={problem()}><p class="problem" role="alert">{t("wrongToken")}</p></Show>
      <button class="primary">{t("signIn")}</button>
    </form>
  );
}

function App() {
  const [signedIn, setSignedIn] = createSignal(token() !== "");
  const [place, setPlace] = createSignal(location.pathname + location.search);
  const go = (to: string): void => {
    history.pushState(null, "", to);
    setPlace(to);
  };
  const path = (): string => place().split("?")[0] ?? "/";
  const link = (to: string, name: string) => (
    <a href={to} aria-current={(to === "/" ? path() === "/" : path().startsWith(to)) ? "page" : undefined} onClick={(e) => { e.preventDefault(); go(to); }}>{name}</a>
  );
  onMount(() => {
    document.documentElement.lang = language();
    addEventListener("popstate", () => setPlace(location.pathname + location.search));
    let g = false;
    document.addEventListener("keydown", (e) => {
      if (e.target instanceof HTMLInputElement || e.target instanceof HTMLTextAreaElement || e.ctrlKey || e.metaKey) return;
      const to = g && ({ o: "/", a: "/alerts", s: "/search", t: "/tail" } as Record<string, string>)[e.key];
      if (to) go(to);
      g = e.key === "g";
    });
  });
  return (
    <Show when={signedIn()} fallback={<Login done={() => setSignedIn(true)} />}>
      <a class="skip" href="#main">{t("skip")}</a>
      <header class="bar">
        <h1>見張り</h1>
        <nav>{link("/", t("overview"))}{link("/alerts", t("alerts"))}{link("/search", t("search"))}{link("/tail", t("tail"))}</nav>
        <button onClick={() => setUtc(!utc())}>{utc() ? "UTC" : "JST"}</button>
        <button lang={language() === "ja" ? "en" : "ja"} onClick={() => setLanguage(language() === "ja" ? "en" : "ja")}>{language() === "ja" ? "English" : "日本語"}</button>
        <button onClick={() => { setToken(""); setSignedIn(false); }}>{t("signOut")}</button>
      </header>
      <main id="main">
        <Switch fallback={<Overview go={go} />}>
          <Match when={path().startsWith("/alerts")}><Inbox id={path().split("/")[2] || undefined} go={go} /></Match>
          <Match when={path() === "/search"}><Show when={place()} keyed>{(p) => <SearchPage live={false} initial={new URLSearchParams(p.split("?")[1]).get("q") ?? ""} />}</Show></Match>
          <Match when={path() === "/tail"}><SearchPage live initial="" /></Match>
        </Switch>
      </main>
      <footer>{t("shortcuts")}</footer>
    </Show>
  );
}

render(() => <App />, document.getElementById("app")!);
