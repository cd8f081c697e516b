import { createSignal } from "solid-js";

const ja = {
  overview: "概要", alerts: "アラート", search: "検索", tail: "ライブ", signOut: "サインアウト", signIn: "サインイン", token: "トークン",
  tokenHint: "起動時に表示されたトークンを貼り付けてください", wrongToken: "トークンが正しくありません", eventsPerSecond: "イベント/秒",
  events: "検索できるイベント", quarantined: "読めなかった記録", openAlerts: "未対応のアラート", zones: "ゾーン間の通信", sources: "送信元",
  newest: "新しいアラート", none: "ありません", level: "重要度", status: "状態", title: "件名", last: "最終", count: "回数", all: "すべて",
  open: "未対応", acknowledged: "対応中", closed: "完了", acknowledge: "対応する", comment: "コメント", close: "完了する", reopen: "再開する",
  escalate: "上申する", meaning: "意味", firstSteps: "最初の対応", falsePositives: "誤検知の可能性", clause: "方針の条項", group: "対象",
  evidence: "証拠のイベント", history: "履歴", run: "検索する", queryHint: "例: source.ip:10.0.0.0/8 AND event.action:deny", hits: "件",
  incomplete: "時間切れのため途中までの結果です", more: "続きを表示", fields: "項目", raw: "生の記録", filterFor: "絞り込む", filterOut: "除く",
  time: "時刻", range: "期間", m15: "15分", h1: "1時間", h24: "24時間", d7: "7日", follow: "追いかける", pause: "止める", skipped: "件を飛ばしました",
  error: "エラー", broken: "違反あり", seen: "通信あり", notObserved: "観測なし", violations: "違反", attempts: "試行", allowed: "許可",
  shortcuts: "キー: g o 概要, g a アラート, g s 検索, / 検索欄, j k 選択, Enter 開く, a 対応, x 完了, Esc 閉じる", disposition: "判定",
  true_positive: "正検知", false_positive: "誤検知", benign: "無害", duplicate: "重複", context: "前後の記録", closeDrawer: "閉じる", received: "受信",
  searchEvidence: "関連イベントを検索", detected: "検知", from: "から", to: "へ", skip: "本文へ",
};
type Key = keyof typeof ja;
const en: Record<Key, string> = {
  overview: "Overview", alerts: "Alerts", search: "Search", tail: "Live", signOut: "Sign out", signIn: "Sign in", token: "Token",
  tokenHint: "Paste the token that was shown at start", wrongToken: "The token is not right", eventsPerSecond: "Events/s",
  events: "Searchable events", quarantined: "Unreadable records", openAlerts: "Open alerts", zones: "Between zones", sources: "Sources",
  newest: "Newest alerts", none: "None", level: "Level", status: "Status", title: "Title", last: "Last", count: "Count", all: "All",
  open: "Open", acknowledged: "Acknowledged", closed: "Closed", acknowledge: "Acknowledge", comment: "Comment", close: "Close", reopen: "Reopen",
  escalate: "Escalate", meaning: "Meaning", firstSteps: "First steps", falsePositives: "What else it may be", clause: "Policy clause", group: "About",
  evidence: "Evidence", history: "History", run: "Search", queryHint: "e.g. source.ip:10.0.0.0/8 AND event.action:deny", hits: "hits",
  incomplete: "Out of time: not everything was searched", more: "Show more", fields: "Fields", raw: "Raw record", filterFor: "Filter for", filterOut: "Filter out",
  time: "Time", range: "Range", m15: "15 min", h1: "1 hour", h24: "24 hours", d7: "7 days", follow: "Follow", pause: "Pause", skipped: "skipped",
  error: "Error", broken: "broken", seen: "seen", notObserved: "not observed", violations: "violations", attempts: "attempts", allowed: "allowed",
  shortcuts: "Keys: g o overview, g a alerts, g s search, / query, j k move, Enter open, a acknowledge, x close, Esc leave", disposition: "Disposition",
  true_positive: "true positive", false_positive: "false positive", benign: "benign", duplicate: "duplicate", context: "Before and after", closeDrawer: "Close", received: "Received",
  searchEvidence: "Search related events", detected: "Detected", from: "from", to: "to", skip: "To the content",
};

const [language, setLanguageSignal] = createSignal<"ja" | "en">(localStorage.getItem("mihari-language") === "en" ? "en" : "ja");
const [utc, setUtcSignal] = createSignal(localStorage.getItem("mihari-utc") === "1");
export { language, utc };
export function setLanguage(value: "ja" | "en"): void {
  localStorage.setItem("mihari-language", value);
  document.documentElement.lang = value;
  setLanguageSignal(value);
}
export function setUtc(value: boolean): void {
  localStorage.setItem("mihari-utc", value ? "1" : "0");
  setUtcSignal(value);
}
export const t = (key: Key): string => (language() === "ja" ? ja : en)[key];
export const has = (key: string): key is Key => key in ja;
/** The text in the chosen language, or in whichever there is. */
export const pick = (texts: Record<string, string> | undefined): string | undefined =>
  texts && (texts[language()] ?? Object.values(texts)[0]);
