import { createSignal } from "solid-js";

// Japanese, English.
const texts = {
  // the frame
  overview: ["概要", "Overview"],
  alerts: ["アラート", "Alerts"],
  search: ["検索", "Search"],
  tail: ["ライブ", "Live"],
  matrix: ["ゾーン通信", "Zones"],
  signOut: ["サインアウト", "Sign out"],
  signIn: ["サインイン", "Sign in"],
  token: ["トークン", "Token"],
  tokenHint: ["起動時に表示されたトークンを貼り付けてください", "Paste the token that was shown at start"],
  wrongToken: ["トークンが正しくありません", "The token is not right"],
  noLongerGood: [
    "トークンの期限が切れたか、取り消されました。もう一度サインインしてください。",
    "The token has expired or was revoked. Please sign in again.",
  ],
  signedOut: ["サインアウトしました", "You have signed out"],
  skip: ["本文へ", "To the content"],
  main: ["主な画面", "Main screens"],
  help: ["キー操作", "Keys"],
  theme: ["配色", "Colours"],
  themeAuto: ["自動", "Auto"],
  themeLight: ["明るい", "Light"],
  themeDark: ["暗い", "Dark"],
  timeZone: ["時刻帯", "Time zone"],
  language: ["言語", "Language"],
  closeIt: ["閉じる", "Close"],
  cancel: ["やめる", "Cancel"],
  copy: ["コピー", "Copy"],
  copied: ["コピーしました", "Copied"],
  none: ["ありません", "None"],
  loading: ["読み込み中…", "Loading…"],
  error: ["エラー", "Error"],
  again: ["再試行", "Try again"],
  problem_unreachable: ["サーバーに接続できません", "The server cannot be reached"],
  problem_internal: ["サーバーで処理に失敗しました", "The request failed on the server"],
  problem_timeout: ["時間内に処理できませんでした", "The request took too long"],
  problem_too_many_failures: ["誤ったトークンが続いたため、1分ほどお待ちください", "Too many wrong tokens; wait a minute"],
  problem_not_found: ["見つかりません", "Not found"],
  stale: ["最新ではありません。最後の取得:", "Not up to date. Last seen:"],
  live: ["受信中", "Live"],
  connecting: ["接続中…", "Connecting…"],
  waiting: ["切断されました。再接続します…", "Disconnected. Reconnecting…"],
  // overview
  eventsPerSecond: ["イベント/秒", "Events/s"],
  events: ["検索できるイベント", "Searchable events"],
  quarantined: ["読めなかった記録", "Unreadable records"],
  openAlerts: ["未完了のアラート", "Alerts not closed"],
  sources: ["送信元", "Sources"],
  source: ["送信元", "Source"],
  destination: ["宛先", "Destination"],
  action: ["動作", "Action"],
  otherSources: ["その他の送信元", "other sources"],
  newest: ["新しいアラート", "Newest alerts"],
  eventsOverTime: ["イベントの推移", "Events over time"],
  showAll: ["すべて表示", "Show all"],
  received: ["受信", "Received"],
  format: ["形式", "Format"],
  // levels
  critical: ["緊急", "Critical"],
  high: ["高", "High"],
  medium: ["中", "Medium"],
  low: ["低", "Low"],
  informational: ["情報", "Info"],
  // alerts
  level: ["重要度", "Level"],
  status: ["状態", "Status"],
  title: ["件名", "Title"],
  first: ["最初", "First"],
  last: ["最終", "Last"],
  count: ["回数", "Count"],
  all: ["すべて", "All"],
  notClosed: ["未完了", "Not closed"],
  open: ["未対応", "Open"],
  acknowledged: ["対応中", "Acknowledged"],
  closed: ["完了", "Closed"],
  mine: ["自分の担当", "Mine"],
  assignee: ["担当", "Assignee"],
  nobody: ["担当なし", "Nobody"],
  acknowledge: ["対応する", "Acknowledge"],
  assign: ["担当を決める", "Assign"],
  assignMe: ["自分が担当する", "Assign to me"],
  comment: ["コメント", "Comment"],
  close: ["完了する", "Close"],
  closing: ["アラートを完了する", "Close the alert"],
  reopen: ["再開する", "Reopen"],
  undo: ["元に戻す", "Undo"],
  hasClosed: ["完了にしました", "Closed"],
  escalate: ["上申する", "Escalate"],
  meaning: ["意味", "Meaning"],
  firstSteps: ["最初の対応", "First steps"],
  falsePositives: ["誤検知の可能性", "What else it may be"],
  clause: ["方針の条項", "Policy clause"],
  group: ["対象", "About"],
  evidence: ["証拠のイベント", "Evidence"],
  timeline: ["経過", "Timeline"],
  detected: ["検知", "Detected"],
  deliveredTo: ["通知", "Notified"],
  delivered: ["届いた", "delivered"],
  waitingState: ["送信待ち", "waiting"],
  dead: ["あきらめた", "given up"],
  disposition: ["判定", "Disposition"],
  true_positive: ["正検知", "True positive"],
  false_positive: ["誤検知", "False positive"],
  benign: ["無害", "Benign"],
  duplicate: ["重複", "Duplicate"],
  rule: ["ルール", "Rule"],
  firstEvent: ["最初のイベントの項目", "Fields of the first event"],
  searchRelated: ["関連イベントを検索", "Search related events"],
  newAlert: ["新しいアラート", "New alert"],
  moreAlerts: ["さらに表示", "Show more"],
  // search
  run: ["検索する", "Search"],
  query: ["検索式", "Query"],
  queryHint: ["例: source.ip:10.0.0.0/8 AND event.action:deny", "e.g. source.ip:10.0.0.0/8 AND event.action:deny"],
  hits: ["件", "hits"],
  incomplete: ["時間切れのため途中までの結果です", "Out of time: not everything was searched"],
  more: ["続きを表示", "Show more"],
  fields: ["項目", "Fields"],
  raw: ["生の記録", "Raw record"],
  filterFor: ["絞り込む", "Filter for"],
  filterOut: ["除く", "Filter out"],
  time: ["時刻", "Time"],
  range: ["期間", "Range"],
  m15: ["15分", "15 min"],
  h1: ["1時間", "1 hour"],
  h24: ["24時間", "24 hours"],
  d7: ["7日", "7 days"],
  d30: ["30日", "30 days"],
  custom: ["指定", "Custom"],
  rangeFrom: ["開始", "From"],
  rangeTo: ["終了", "To"],
  wider: ["広げる", "Zoom out"],
  facets: ["内訳", "Facets"],
  addFacet: ["項目を追加", "Add a field"],
  removeFacet: ["外す", "Remove"],
  others: ["その他", "others"],
  histogram: ["時間ごとの件数。ドラッグで期間を選べます", "Hits over time. Drag to choose a range"],
  event: ["イベント", "Event"],
  previous: ["前", "Previous"],
  next: ["次", "Next"],
  context: ["同じ送信元の前後", "Before and after, same source"],
  noHits: ["一致するイベントはありません。期間を広げるか、条件を減らしてください。", "No event matches. Widen the range or drop a condition."],
  exists: ["この項目がある", "Has this field"],
  // tail
  follow: ["再開", "Follow"],
  pause: ["一時停止", "Pause"],
  clear: ["消去", "Clear"],
  skipped: ["件を飛ばしました", "skipped"],
  held: ["件が待っています", "held back"],
  tailEmpty: ["イベントを待っています", "Waiting for events"],
  terminal: ["端末の特定", "Which terminal"],
  sureCertain: ["確実", "Certain"],
  sureLikely: ["可能性が高い", "Likely"],
  sureAmbiguous: ["特定できません (複数の候補)", "Ambiguous: any of these"],
  sureUnknown: ["記録がありません", "No record says"],
  // matrix
  broken: ["違反あり", "Violations"],
  kept: ["遵守", "Kept"],
  reasonViolation: ["許可されない通信が通りました", "Something passed that nothing allows"],
  reasonObserved: ["すべてのセンサーが見ていました", "Every sensor was watching"],
  reasonBlind: ["この組を見るセンサーがありません", "No sensor sees this pair"],
  reasonSilent: ["途絶えたセンサーがあります", "A sensor was silent for a while"],
  reasonNoHour: ["まだ観測がありません", "Nothing observed yet"],
  sensors: ["センサー", "Sensors"],
  silent: ["途絶", "silent"],
  byHour: ["時間ごと", "By hour"],
  hour: ["時間", "Hour"],
  state: ["状態", "State"],
  notObserved: ["観測なし", "Not observed"],
  violations: ["違反", "Violations"],
  denied: ["拒否", "Denied"],
  allowed: ["許可", "Allowed"],
  exceptions: ["例外", "Exceptions"],
  unclear: ["不明", "Unclear"],
  from: ["から", "From"],
  to: ["へ", "To"],
  matrixHint: ["行のゾーンから列のゾーンへ。マスを選ぶと内訳が出ます。", "From the row's zone to the column's. Choose a cell for its details."],
  noPolicy: ["ゾーンの方針が設定されていません", "No zone policy is configured"],
  allowedBy: ["許可する方針の行", "Lines of the policy that allow it"],
  mustDeny: ["必ず拒否", "Must be denied"],
  noLine: ["許可する行はありません: 既定で拒否", "No line allows it: denied by default"],
  service: ["サービス", "Service"],
  events24: ["イベントを見る", "See the events"],
  topSources: ["主な送信元", "Top sources"],
  topDestinations: ["主な宛先", "Top destinations"],
  topPorts: ["主な宛先ポート", "Top destination ports"],
  line: ["行", "Line"],
  // keys
  keyGo: ["画面を移る: 概要, アラート, 検索, ライブ, ゾーン", "Go to: overview, alerts, search, live, zones"],
  keyQuery: ["検索欄へ", "To the query"],
  keyMove: ["次/前を選ぶ", "Next / previous"],
  keyOpen: ["開く", "Open"],
  keyLeave: ["閉じる/戻る", "Close / leave"],
  keyAck: ["アラート: 対応する", "Alert: acknowledge"],
  keyMine: ["アラート: 自分が担当する", "Alert: assign to me"],
  keyComment: ["アラート: コメント", "Alert: comment"],
  keyClose: ["アラート: 完了する(確認あり)", "Alert: close (asks first)"],
  keyReopen: ["アラート: 再開する", "Alert: reopen"],
  keyPause: ["ライブ: 一時停止/再開", "Live: pause / follow"],
  keyHelp: ["この一覧", "This list"],
} as const satisfies Record<string, readonly [string, string]>;
export type Key = keyof typeof texts;

export type Theme = "auto" | "light" | "dark";
const stored = (name: string): string => localStorage.getItem(`mihari-${name}`) ?? "";
const [language, setLanguageSignal] = createSignal<"ja" | "en">(stored("language") === "en" ? "en" : "ja");
const [utc, setUtcSignal] = createSignal(stored("utc") === "1");
const [theme, setThemeSignal] = createSignal<Theme>((["light", "dark"] as const).find((name) => name === stored("theme")) ?? "auto");
export { language, theme, utc };
export function setLanguage(value: "ja" | "en"): void {
  localStorage.setItem("mihari-language", value);
  document.documentElement.lang = value;
  setLanguageSignal(value);
}
export function setUtc(value: boolean): void {
  localStorage.setItem("mihari-utc", value ? "1" : "0");
  setUtcSignal(value);
}
export function setTheme(value: Theme): void {
  localStorage.setItem("mihari-theme", value);
  document.documentElement.dataset["theme"] = value;
  setThemeSignal(value);
}
/** Applies what was chosen before. */
export function begin(): void {
  document.documentElement.lang = language();
  document.documentElement.dataset["theme"] = theme();
}
export const t = (key: Key): string => texts[key][language() === "ja" ? 0 : 1];
export const has = (key: string): key is Key => Object.hasOwn(texts, key);
/** A word of the interface in the chosen language, or as it is. */
export const word = (key: string): string => (has(key) ? t(key) : key);
/** The text in the chosen language, or in whichever there is. */
export const pick = (options: Record<string, string> | undefined): string | undefined =>
  options && (options[language()] ?? Object.values(options)[0]);
export const number = (n: number | undefined): string => Math.round(n ?? 0).toLocaleString(language());
