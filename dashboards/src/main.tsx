import { For, Match, Show, Switch, createEffect, createSignal, onMount } from "solid-js";
import { Inbox } from "./alerts";
import { Anchor } from "./anchor";
import { BacktestPage } from "./backtests";
import { type Problem, problemOf, whoami } from "./api";
import { keys } from "./keys";
import { type Key, type Theme, begin, language, setLanguage, setTheme, setUtc, t, theme, utc } from "./i18n";
import { MatrixPage } from "./matrix";
import { Overview } from "./overview";
import { Modal, told } from "./parts";
import { go, path } from "./place";
import { PolicyPage } from "./policy";
import { QuarantinePage } from "./quarantine";
import { RulesPage } from "./rules";
import { render } from "./runtime";
import { SavedPage } from "./saved";
import { SearchPage } from "./search";
import { SourcesPage } from "./sources";
import { ended, signIn, signOut, signedIn } from "./session";
import { TailPage } from "./tail";
import { visible } from "./text";
import { me } from "./user";
import "./style.css";

const SCREENS = [["/", "overview", "o"], ["/alerts", "alerts", "a"], ["/search", "search", "s"], ["/tail", "tail", "t"], ["/matrix", "matrix", "z"],
  ["/searches", "saved", "v"], ["/rules", "rules", "r"], ["/backtests", "backtests", "b"], ["/quarantine", "quarantine", "q"], ["/sources", "sourcesAndLedger", "l"]] as const satisfies readonly (readonly [string, Key, string])[];
const HELP: readonly (readonly [string, Key])[] = [
  ["g o · g a · g s · g t · g z", "keyGo"], ["g v · g r · g b · g q · g l", "keyGoMore"], ["/", "keyQuery"], ["j · k", "keyMove"], ["Enter", "keyOpen"], ["Esc", "keyLeave"], ["a", "keyAck"], ["m", "keyMine"],
  ["c", "keyComment"], ["x", "keyClose"], ["v", "keyMark"], ["r", "keyReopen"], ["p", "keyPause"], ["?", "keyHelp"],
];

function Login() {
  const [problem, setProblem] = createSignal<Problem>();
  const [busy, setBusy] = createSignal(false);
  let input!: HTMLInputElement;
  onMount(() => input.focus());
  const submit = async (): Promise<void> => {
    const given = input.value.trim();
    setBusy(true);
    try {
      await whoami(given);
      signIn(given);
    } catch (error) {
      setProblem(problemOf(error));
    } finally {
      setBusy(false);
    }
  };
  return (
    <main id="main" class="login">
      <form class="panel" onSubmit={(e) => { e.preventDefault(); void submit(); }}>
        <h1><Mark /> 見張り <span class="dim">mihari</span></h1>
        <Show when={ended()} keyed>{(why) => <p class={why === "noLongerGood" ? "stale" : "dim"} role={why === "noLongerGood" ? "alert" : "status"}>{t(why)}</p>}</Show>
        <label>{t("token")}<input ref={input} type="password" name="token" autocomplete="off" placeholder={t("tokenHint")} required /></label>
        <Show when={problem()} keyed>{(p) => <p class="problem" role="alert">{p.status === 401 ? t("wrongToken") : told(p)}</p>}</Show>
        <div class="tools"><button class="primary" disabled={busy()}>{t("signIn")}</button><span class="grow" /><Language /></div>
      </form>
    </main>
  );
}

function Language() {
  const other = (): "ja" | "en" => (language() === "ja" ? "en" : "ja");
  return <button type="button" class="quiet" lang={other()} onClick={() => setLanguage(other())}>{language() === "ja" ? "English" : "日本語"}</button>;
}

const THEMES: readonly (readonly [Theme, Key])[] = [["auto", "themeAuto"], ["light", "themeLight"], ["dark", "themeDark"]];

/** A watchtower's window. */
function Mark() {
  return <img class="logo" src="/icon.svg" alt="" width={20} height={20} />;
}

function App() {
  const [help, setHelp] = createSignal(false);
  const current = (): (typeof SCREENS)[number] => SCREENS.findLast(([to]) => path() === to || (to !== "/" && path().startsWith(`${to}/`))) ?? SCREENS[0];
  createEffect(() => { document.title = `${t(current()[1])} – 見張り mihari`; });
  keys({ ...Object.fromEntries(SCREENS.map(([to, , key]) => [`g ${key}`, () => go(to)])), "?": () => setHelp(true) });
  return (
    <>
      <a class="skip" href="#main">{t("skip")}</a>
      <header class="bar">
        <h1><Mark /> 見張り</h1>
        <nav aria-label={t("main")}><For each={SCREENS}>{([to, name]) => <Anchor to={to} current={current()[0] === to}>{t(name)}</Anchor>}</For></nav>
        <div class="tools">
          <Show when={me()}>{(who) => <span class="dim who">{visible(who().name)} @ {visible(who().tenant)}</span>}</Show>
          <button class="quiet" aria-label={`${t("timeZone")}: ${utc() ? "UTC" : "JST"}`} onClick={() => setUtc(!utc())}>{utc() ? "UTC" : "JST"}</button>
          <select class="quiet" aria-label={t("theme")} value={theme()} onChange={(e) => setTheme(e.currentTarget.value as Theme)}><For each={THEMES}>{([value, name]) => <option value={value} selected={value === theme()}>{t(name)}</option>}</For></select>
          <Language />
          <button class="quiet" aria-label={t("help")} title={`${t("help")} (?)`} onClick={() => setHelp(true)}>?</button>
          <button class="quiet" onClick={() => signOut("signedOut")}>{t("signOut")}</button>
        </div>
      </header>
      <main id="main" tabindex={-1}>
        <Switch fallback={<Overview />}>
          <Match when={current()[0] === "/alerts"}><Inbox /></Match>
          <Match when={current()[0] === "/search"}><SearchPage /></Match>
          <Match when={current()[0] === "/tail"}><TailPage /></Match>
          <Match when={path() === "/matrix/policy"}><PolicyPage /></Match>
          <Match when={current()[0] === "/matrix"}><MatrixPage /></Match>
          <Match when={current()[0] === "/searches"}><SavedPage /></Match>
          <Match when={current()[0] === "/rules"}><RulesPage /></Match>
          <Match when={current()[0] === "/backtests"}><BacktestPage /></Match>
          <Match when={current()[0] === "/quarantine"}><QuarantinePage /></Match>
          <Match when={current()[0] === "/sources"}><SourcesPage /></Match>
        </Switch>
      </main>
      <Show when={help()}>
        <Modal label={t("help")} close={() => setHelp(false)}>
          <h2>{t("help")}</h2>
          <dl class="help"><For each={HELP}>{([key, name]) => <><dt><kbd>{key}</kbd></dt><dd>{t(name)}</dd></>}</For></dl>
          <form method="dialog"><button class="primary" autofocus>{t("closeIt")}</button></form>
        </Modal>
      </Show>
    </>
  );
}

begin();
render(() => <Show when={signedIn()} fallback={<Login />}><App /></Show>, document.getElementById("app")!);
