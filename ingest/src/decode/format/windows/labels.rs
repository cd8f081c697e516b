//! What the message of a Windows audit event says by its labels, in English, Japanese or French, under the names that the event's data has
//! (Microsoft, "Audit events": the messages of 4624 and its kin): for forwarders that send the message and leave out the data.
//!
//! ```text
//! Account For Which Logon Failed:          -> TargetUserName, TargetDomainName
//!     Account Name:    taro
//!     Account Domain:  CITY
//! Network Information:
//!     Source Network Address:  192.0.2.7   -> IpAddress
//! ```
//!
//! Forwarders write the message's line breaks as they are, as `\r\n`, or as blanks. Where there are lines, a label counts at the beginning
//! of one only. Where there are none, whoever logs in may write labels into his name: of each account the first value counts, of the
//! address, which stands behind the names, the last.

use std::sync::LazyLock;

/// A label, and whose account a section is about or what the value behind it is.
#[derive(Clone, Copy)]
enum Means {
    /// A section about the account that did it.
    Subject,
    /// A section about the account that it was done to, or that logged on.
    Target,
    /// A section about something else.
    Other,
    /// An account's part: the end of the name behind `Subject` or `Target`.
    Part(&'static str),
    /// A value of this name.
    Is(&'static str),
}

use Means::{Is, Other, Part, Subject, Target};

const LABELS: &[(&str, Means)] = &[
    ("Subject", Subject),
    ("Creator Subject", Subject),
    ("サブジェクト", Subject),
    ("作成元サブジェクト", Subject),
    ("クリエーター サブジェクト", Subject),
    ("New Logon", Target),
    ("Account For Which Logon Failed", Target),
    ("Account Whose Credentials Were Used", Target),
    ("Account That Was Locked Out", Target),
    ("Account Information", Target),
    ("Target Account", Target),
    ("Target Subject", Target),
    ("New Account", Target),
    ("Member", Target),
    ("新しいログオン", Target),
    ("ログオンを失敗したアカウント", Target),
    ("ログオンに失敗したアカウント", Target),
    ("資格情報が使用されたアカウント", Target),
    ("ロックアウトされたアカウント", Target),
    ("アカウント情報", Target),
    ("対象のアカウント", Target),
    ("対象アカウント", Target),
    ("ターゲット アカウント", Target),
    ("ターゲット サブジェクト", Target),
    ("対象サブジェクト", Target),
    ("新しいアカウント", Target),
    ("メンバー", Target),
    ("Group", Other),
    ("Logon Information", Other),
    ("Process Information", Other),
    ("Network Information", Other),
    ("Failure Information", Other),
    ("Detailed Authentication Information", Other),
    ("Additional Information", Other),
    ("Service Information", Other),
    ("Filter Information", Other),
    ("Application Information", Other),
    ("Share Information", Other),
    ("Object", Other),
    ("Attributes", Other),
    ("グループ", Other),
    ("ログオン情報", Other),
    ("プロセス情報", Other),
    ("ネットワーク情報", Other),
    ("エラー情報", Other),
    ("詳細な認証情報", Other),
    ("追加情報", Other),
    ("サービス情報", Other),
    ("フィルター情報", Other),
    ("アプリケーション情報", Other),
    ("共有情報", Other),
    ("オブジェクト", Other),
    ("属性", Other),
    ("Security ID", Part("UserSid")),
    ("Account Name", Part("UserName")),
    ("Account Domain", Part("DomainName")),
    ("Logon ID", Part("LogonId")),
    ("User ID", Part("UserSid")),
    ("Supplied Realm Name", Part("DomainName")),
    ("セキュリティ ID", Part("UserSid")),
    ("アカウント名", Part("UserName")),
    ("アカウント ドメイン", Part("DomainName")),
    ("ログオン ID", Part("LogonId")),
    ("ユーザー ID", Part("UserSid")),
    ("提供された領域名", Part("DomainName")),
    ("Logon Account", Is("TargetUserName")),
    ("Group Name", Is("TargetUserName")),
    ("Group Domain", Is("TargetDomainName")),
    ("ログオン アカウント", Is("TargetUserName")),
    ("グループ名", Is("TargetUserName")),
    ("グループ ドメイン", Is("TargetDomainName")),
    ("Logon Type", Is("LogonType")),
    ("ログオン タイプ", Is("LogonType")),
    ("ログオンの種類", Is("LogonType")),
    ("Logon GUID", Is("LogonGuid")),
    ("ログオン GUID", Is("LogonGuid")),
    ("Failure Reason", Is("FailureReason")),
    ("失敗の原因", Is("FailureReason")),
    ("Status", Is("Status")),
    ("状態", Is("Status")),
    ("Sub Status", Is("SubStatus")),
    ("サブ ステータス", Is("SubStatus")),
    ("Failure Code", Is("Status")),
    ("Result Code", Is("Status")),
    ("Error Code", Is("Status")),
    ("エラー コード", Is("Status")),
    ("結果コード", Is("Status")),
    ("Caller Process ID", Is("CallerProcessId")),
    ("Caller Process Name", Is("CallerProcessName")),
    ("呼び出し側プロセス ID", Is("CallerProcessId")),
    ("呼び出し側プロセス名", Is("CallerProcessName")),
    ("呼び出し元プロセス ID", Is("CallerProcessId")),
    ("呼び出し元プロセス名", Is("CallerProcessName")),
    ("Process ID", Is("ProcessId")),
    ("Process Name", Is("ProcessName")),
    ("プロセス ID", Is("ProcessId")),
    ("プロセス名", Is("ProcessName")),
    ("New Process ID", Is("NewProcessId")),
    ("New Process Name", Is("NewProcessName")),
    ("新しいプロセス ID", Is("NewProcessId")),
    ("新しいプロセス名", Is("NewProcessName")),
    ("Token Elevation Type", Is("TokenElevationType")),
    ("トークン昇格の種類", Is("TokenElevationType")),
    ("Mandatory Label", Is("MandatoryLabel")),
    ("必須ラベル", Is("MandatoryLabel")),
    ("Creator Process ID", Is("ProcessId")),
    ("Creator Process Name", Is("ParentProcessName")),
    ("作成元プロセス ID", Is("ProcessId")),
    ("作成元プロセス名", Is("ParentProcessName")),
    ("クリエーター プロセス ID", Is("ProcessId")),
    ("クリエーター プロセス名", Is("ParentProcessName")),
    ("Process Command Line", Is("CommandLine")),
    ("プロセスのコマンド ライン", Is("CommandLine")),
    ("Workstation Name", Is("WorkstationName")),
    ("ワークステーション名", Is("WorkstationName")),
    ("Source Workstation", Is("Workstation")),
    ("ソース ワークステーション", Is("Workstation")),
    ("Caller Computer Name", Is("WorkstationName")),
    ("呼び出し元コンピューター名", Is("WorkstationName")),
    ("Source Network Address", Is("IpAddress")),
    ("ソース ネットワーク アドレス", Is("IpAddress")),
    ("Network Address", Is("IpAddress")),
    ("ネットワーク アドレス", Is("IpAddress")),
    ("Client Address", Is("IpAddress")),
    ("クライアント アドレス", Is("IpAddress")),
    ("Source Address", Is("SourceAddress")),
    ("ソース アドレス", Is("SourceAddress")),
    ("送信元アドレス", Is("SourceAddress")),
    ("Destination Address", Is("DestAddress")),
    ("宛先アドレス", Is("DestAddress")),
    ("Source Port", Is("IpPort")),
    ("ソース ポート", Is("IpPort")),
    ("送信元ポート", Is("IpPort")),
    ("Client Port", Is("IpPort")),
    ("クライアント ポート", Is("IpPort")),
    ("Port", Is("IpPort")),
    ("ポート", Is("IpPort")),
    ("Destination Port", Is("DestPort")),
    ("宛先ポート", Is("DestPort")),
    ("Direction", Is("DirectionText")),
    ("Protocol", Is("Protocol")),
    ("プロトコル", Is("Protocol")),
    ("Logon Process", Is("LogonProcessName")),
    ("ログオン プロセス", Is("LogonProcessName")),
    ("Authentication Package", Is("AuthenticationPackageName")),
    ("認証パッケージ", Is("AuthenticationPackageName")),
    ("Transited Services", Is("TransmittedServices")),
    ("移行されたサービス", Is("TransmittedServices")),
    ("Package Name (NTLM only)", Is("LmPackageName")),
    ("パッケージ名 (NTLM のみ)", Is("LmPackageName")),
    ("Key Length", Is("KeyLength")),
    ("キーの長さ", Is("KeyLength")),
    ("Ticket Encryption Type", Is("TicketEncryptionType")),
    ("Ticket Options", Is("TicketOptions")),
    ("Pre-Authentication Type", Is("PreAuthType")),
    ("Service Name", Is("ServiceName")),
    ("Service ID", Is("ServiceSid")),
    ("Service File Name", Is("ServiceFileName")),
    ("サービス名", Is("ServiceName")),
    ("サービス ID", Is("ServiceSid")),
    ("サービス ファイル名", Is("ServiceFileName")),
    ("Task Name", Is("TaskName")),
    ("タスク名", Is("TaskName")),
    ("Object Name", Is("ObjectName")),
    ("オブジェクト名", Is("ObjectName")),
    ("Object Type", Is("ObjectType")),
    ("オブジェクトの種類", Is("ObjectType")),
    ("Share Name", Is("ShareName")),
    ("共有名", Is("ShareName")),
    ("Relative Target Name", Is("RelativeTargetName")),
    ("相対ターゲット名", Is("RelativeTargetName")),
    ("Application Name", Is("Application")),
    ("アプリケーション名", Is("Application")),
    ("Impersonation Level", Is("ImpersonationLevel")),
    ("偽装レベル", Is("ImpersonationLevel")),
    ("Restricted Admin Mode", Is("RestrictedAdminMode")),
    ("Virtual Account", Is("VirtualAccount")),
    ("Elevated Token", Is("ElevatedToken")),
    ("Linked Logon ID", Is("TargetLinkedLogonId")),
    ("Network Account Name", Is("TargetOutboundUserName")),
    ("Network Account Domain", Is("TargetOutboundDomainName")),
    ("Sujet", Subject),
    ("Objet", Subject),
    ("Sujet du créateur", Subject),
    ("Sujet de l’auteur", Subject),
    ("Nouvelle ouverture de session", Target),
    ("Compte pour lequel l’ouverture de session a échoué", Target),
    ("Compte dont les informations d’identification ont été utilisées", Target),
    ("Compte verrouillé", Target),
    ("Informations sur le compte", Target),
    ("Compte cible", Target),
    ("Sujet cible", Target),
    ("Nouveau compte", Target),
    ("Membre", Target),
    ("Groupe", Other),
    ("Informations d’ouverture de session", Other),
    ("Informations sur le processus", Other),
    ("Informations sur le réseau", Other),
    ("Informations sur l’échec", Other),
    ("Informations détaillées sur l’authentification", Other),
    ("Informations supplémentaires", Other),
    ("Informations sur le service", Other),
    ("Informations sur l’application", Other),
    ("Informations sur le partage", Other),
    ("Attributs", Other),
    ("Attributs modifiés", Other),
    ("ID de sécurité", Part("UserSid")),
    ("ID de l’utilisateur", Part("UserSid")),
    ("Nom du compte", Part("UserName")),
    ("Domaine du compte", Part("DomainName")),
    ("Nom du domaine Kerberos fourni", Part("DomainName")),
    ("ID d’ouverture de session", Part("LogonId")),
    ("Compte d’ouverture de session", Is("TargetUserName")),
    ("Nom du groupe", Is("TargetUserName")),
    ("Domaine du groupe", Is("TargetDomainName")),
    ("Type d’ouverture de session", Is("LogonType")),
    ("GUID d’ouverture de session", Is("LogonGuid")),
    ("Raison de l’échec", Is("FailureReason")),
    ("État", Is("Status")),
    ("Code de résultat", Is("Status")),
    ("Code d’erreur", Is("Status")),
    ("Code d’échec", Is("Status")),
    ("Sous-état", Is("SubStatus")),
    ("ID du processus de l’appelant", Is("CallerProcessId")),
    ("Nom du processus de l’appelant", Is("CallerProcessName")),
    ("ID du processus", Is("ProcessId")),
    ("ID du processus créateur", Is("ProcessId")),
    ("Nom du processus", Is("ProcessName")),
    ("ID du nouveau processus", Is("NewProcessId")),
    ("Nom du nouveau processus", Is("NewProcessName")),
    ("Nom du processus créateur", Is("ParentProcessName")),
    ("Ligne de commande du processus", Is("CommandLine")),
    ("Nom de la station de travail", Is("WorkstationName")),
    ("Nom de l’ordinateur appelant", Is("WorkstationName")),
    ("Station de travail source", Is("Workstation")),
    ("Adresse du réseau source", Is("IpAddress")),
    ("Adresse réseau", Is("IpAddress")),
    ("Adresse du client", Is("IpAddress")),
    ("Adresse source", Is("SourceAddress")),
    ("Adresse de destination", Is("DestAddress")),
    ("Port source", Is("IpPort")),
    ("Port client", Is("IpPort")),
    ("Port du client", Is("IpPort")),
    ("Port de destination", Is("DestPort")),
    ("Protocole", Is("Protocol")),
    ("Processus d’ouverture de session", Is("LogonProcessName")),
    ("Package d’authentification", Is("AuthenticationPackageName")),
    ("Type de chiffrement du ticket", Is("TicketEncryptionType")),
    ("Options du ticket", Is("TicketOptions")),
    ("Type de pré-authentification", Is("PreAuthType")),
    ("Nom du service", Is("ServiceName")),
    ("ID du service", Is("ServiceSid")),
    ("Nom du fichier de service", Is("ServiceFileName")),
    ("Nom de la tâche", Is("TaskName")),
    ("Nom de l’objet", Is("ObjectName")),
    ("Type d’objet", Is("ObjectType")),
    ("Nom du partage", Is("ShareName")),
    ("Nom de l’application", Is("Application")),
    ("Niveau d’emprunt d’identité", Is("ImpersonationLevel")),
];

/// How the first sentence begins, and the event's number.
const TITLES: &[(&str, &str)] = &[
    ("An account was successfully logged on", "4624"),
    ("アカウントが正常にログオンしました", "4624"),
    ("An account failed to log on", "4625"),
    ("アカウントがログオンに失敗しました", "4625"),
    ("アカウントはログオンに失敗しました", "4625"),
    ("An account was logged off", "4634"),
    ("アカウントがログオフしました", "4634"),
    ("User initiated logoff", "4647"),
    ("A logon was attempted using explicit credentials", "4648"),
    ("明示的な資格情報を使用してログオンが試行されました", "4648"),
    ("An attempt was made to access an object", "4663"),
    ("Special privileges assigned to new logon", "4672"),
    ("新しいログオンに特権が割り当てられました", "4672"),
    ("A new process has been created", "4688"),
    ("新しいプロセスが作成されました", "4688"),
    ("A process has exited", "4689"),
    ("プロセスが終了しました", "4689"),
    ("A service was installed in the system", "4697"),
    ("A scheduled task was created", "4698"),
    ("A user account was created", "4720"),
    ("ユーザー アカウントが作成されました", "4720"),
    ("A user account was enabled", "4722"),
    ("ユーザー アカウントが有効化されました", "4722"),
    ("An attempt was made to change an account's password", "4723"),
    ("An attempt was made to reset an account's password", "4724"),
    ("A user account was disabled", "4725"),
    ("ユーザー アカウントが無効化されました", "4725"),
    ("A user account was deleted", "4726"),
    ("ユーザー アカウントが削除されました", "4726"),
    ("A member was added to a security-enabled global group", "4728"),
    ("A member was added to a security-enabled local group", "4732"),
    ("A user account was changed", "4738"),
    ("ユーザー アカウントが変更されました", "4738"),
    ("A user account was locked out", "4740"),
    ("ユーザー アカウントがロックアウトされました", "4740"),
    ("A member was added to a security-enabled universal group", "4756"),
    ("A Kerberos authentication ticket (TGT) was requested", "4768"),
    ("Kerberos 認証チケット (TGT) が要求されました", "4768"),
    ("A Kerberos service ticket was requested", "4769"),
    ("Kerberos サービス チケットが要求されました", "4769"),
    ("Kerberos pre-authentication failed", "4771"),
    ("Kerberos 事前認証に失敗しました", "4771"),
    ("The computer attempted to validate the credentials for an account", "4776"),
    ("コンピューターがアカウントの資格情報の確認を試行しました", "4776"),
    ("The domain controller attempted to validate the credentials for an account", "4776"),
    ("The audit log was cleared", "1102"),
    ("監査ログが消去されました", "1102"),
    ("A network share object was accessed", "5140"),
    ("The Windows Filtering Platform has permitted a connection", "5156"),
    ("The Windows Filtering Platform has blocked a connection", "5157"),
    ("L’ouverture de session d’un compte s’est correctement déroulée", "4624"),
    ("Échec d’ouverture de session d’un compte", "4625"),
    ("Fermeture de session d’un compte", "4634"),
    ("Tentative d’ouverture de session en utilisant des informations d’identification explicites", "4648"),
    ("Privilèges spéciaux attribués à la nouvelle ouverture de session", "4672"),
    ("Un nouveau processus a été créé", "4688"),
    ("Un service a été installé dans le système", "4697"),
    ("Une tâche planifiée a été créée", "4698"),
    ("Un compte d’utilisateur a été créé", "4720"),
    ("Un compte d’utilisateur a été activé", "4722"),
    ("Un compte d’utilisateur a été désactivé", "4725"),
    ("Un compte d’utilisateur a été supprimé", "4726"),
    ("Un membre a été ajouté à un groupe global dont la sécurité est activée", "4728"),
    ("Un membre a été ajouté à un groupe local dont la sécurité est activée", "4732"),
    ("Un compte d’utilisateur a été modifié", "4738"),
    ("Un compte d’utilisateur a été verrouillé", "4740"),
    ("Un membre a été ajouté à un groupe universel dont la sécurité est activée", "4756"),
    ("Un ticket d’authentification Kerberos (TGT) a été demandé", "4768"),
    ("Un ticket de service Kerberos a été demandé", "4769"),
    ("La pré-authentification Kerberos a échoué", "4771"),
    ("L’ordinateur a tenté de valider les informations d’identification d’un compte", "4776"),
    ("Le journal d’audit a été effacé", "1102"),
];

/// Bytes of a message that are looked at: what its labels say stands before the explanations.
const MESSAGE_BYTES_MAX: usize = 4096;

/// Labels of a message that are looked at.
const LABELS_MAX: usize = 96;

/// The labels by their last byte, the longer ones first.
static BY_LAST_BYTE: LazyLock<Vec<Vec<(&'static str, Means)>>> = LazyLock::new(|| {
    let mut lists = vec![Vec::new(); 256];
    for (label, means) in LABELS {
        lists[usize::from(*label.as_bytes().last().expect("a label has letters"))].push((*label, *means));
    }
    for list in &mut lists {
        list.sort_by_key(|(label, _)| std::cmp::Reverse(label.len()));
    }
    lists
});

/// The number of the event that a message of this beginning is about.
pub(super) fn number(message: &str) -> Option<&'static str> {
    let start = message.trim_start();
    TITLES.iter().find(|(title, _)| start.starts_with(title)).map(|(_, number)| *number)
}

/// Gives each value of `message` with the name that it has in the event's data.
pub(super) fn read<'t>(message: &'t str, mut put: impl FnMut(&'static str, &'t str)) {
    let text = &message[..message.floor_char_boundary(MESSAGE_BYTES_MAX)];
    let has_lines = text.contains('\n') || text.contains("#012");
    let mut found: [(usize, usize, Means); LABELS_MAX] = [(0, 0, Other); LABELS_MAX];
    let mut count = 0;
    for colon in memchr::memchr_iter(b':', text.as_bytes()) {
        let Some((start, means)) = label_before(&text[..colon], has_lines) else { continue };
        let Some(place) = found.get_mut(count) else { break };
        *place = (start, colon + 1, means);
        count += 1;
    }
    let mut whose = "Subject";
    let mut written: [(&str, &str); LABELS_MAX] = [("", ""); LABELS_MAX];
    let mut values = 0;
    for at in 0..count {
        let (_, from, means) = found[at];
        let to = if at + 1 < count { found[at + 1].0 } else { text.len() };
        let name = match means {
            Subject => {
                whose = "Subject";
                continue;
            }
            Target => {
                whose = "Target";
                continue;
            }
            Other => {
                whose = "";
                continue;
            }
            Part(part) => match (whose, part) {
                ("Subject", "UserSid") => "SubjectUserSid",
                ("Subject", "UserName") => "SubjectUserName",
                ("Subject", "DomainName") => "SubjectDomainName",
                ("Subject", "LogonId") => "SubjectLogonId",
                ("Target", "UserSid") => "TargetUserSid",
                ("Target", "UserName") => "TargetUserName",
                ("Target", "DomainName") => "TargetDomainName",
                ("Target", "LogonId") => "TargetLogonId",
                _ => continue,
            },
            Is(name) => name,
        };
        let value = value_of(&text[from.min(to)..to]);
        if value.is_empty() || value == "-" {
            continue;
        }
        match written[..values].iter_mut().find(|(known, _)| *known == name) {
            Some((_, old)) if !has_lines && matches!(name, "IpAddress" | "IpPort") => *old = value,
            Some(_) => {}
            None => {
                written[values] = (name, value);
                values += 1;
            }
        }
    }
    for (name, value) in &written[..values] {
        put(name, value);
    }
}

/// The label that ends `text`, and where it begins.
fn label_before(text: &str, has_lines: bool) -> Option<(usize, Means)> {
    let text = text.trim_end_matches([' ', '\u{a0}']); // French has a blank before a colon.
    let last = *text.as_bytes().last()?;
    BY_LAST_BYTE[usize::from(last)].iter().find_map(|(label, means)| {
        let before = text.strip_suffix(label)?;
        let begins = match has_lines {
            true => {
                before.trim_end_matches([' ', '\t']).trim_end_matches("#011").ends_with('\n')
                    || before.ends_with("#012")
                    || before.ends_with("#011")
            }
            false => before.is_empty() || before.ends_with([' ', '\t', '.', '。']),
        };
        begins.then_some((before.len(), *means))
    })
}

/// The value at the beginning of `text`: to the end of its line, or to a wider gap.
fn value_of(text: &str) -> &str {
    let text = text.trim_start().trim_start_matches("#011").trim_start();
    let end = ["\n", "\r", "#015", "#012", "  ", "\t"].iter().filter_map(|end| text.find(end)).min().unwrap_or(text.len());
    text[..end].trim_end()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(message: &str) -> Vec<(&'static str, &str)> {
        let mut all = Vec::new();
        read(message, |name, value| all.push((name, value)));
        all
    }

    #[test]
    fn labels_are_read_in_every_layout() {
        let expected = [
            ("SubjectUserSid", "S-1-0-0"),
            ("LogonType", "3"),
            ("TargetUserName", "taro"),
            ("IpAddress", "192.0.2.7"),
            ("IpPort", "5122"),
        ];
        let english = "An account failed to log on.\r\n\r\nSubject:\r\n\tSecurity ID:\t\tS-1-0-0\r\n\tAccount Name:\t\t-\r\n\r\nLogon Type:\t\t\t3\r\n\r\n\
            Account For Which Logon Failed:\r\n\tAccount Name:\t\ttaro\r\n\r\nNetwork Information:\r\n\tSource Network Address:\t192.0.2.7\r\n\tSource Port:\t\t5122\r\n";
        assert_eq!(said(english), expected);
        assert_eq!(said(&english.replace("\r\n", "  ").replace('\t', " ")), expected);
        assert_eq!(said(&english.replace("\r\n", "#015#012").replace('\t', "#011")), expected);
        let japanese = "アカウントがログオンに失敗しました。\n\nサブジェクト:\n\tセキュリティ ID:\t\tS-1-0-0\n\tアカウント名:\t\t-\n\nログオン タイプ:\t\t3\n\n\
            ログオンを失敗したアカウント:\n\tアカウント名:\t\ttaro\n\nネットワーク情報:\n\tソース ネットワーク アドレス:\t192.0.2.7\n\tソース ポート:\t\t5122\n";
        assert_eq!(said(japanese), expected);
        assert_eq!(said(&japanese.replace(['\n', '\t'], " ")), expected);
        let french = "Échec d’ouverture de session d’un compte.\n\nSujet :\n\tID de sécurité :\t\tS-1-0-0\n\tNom du compte :\t\t-\n\nType d’ouverture de session :\t\t3\n\n\
            Compte pour lequel l’ouverture de session a échoué\u{a0}:\n\tNom du compte :\t\ttaro\n\nInformations sur le réseau :\n\tAdresse du réseau source :\t192.0.2.7\n\tPort source :\t\t5122\n";
        assert_eq!(said(french), expected);
        assert_eq!((number(english), number(japanese), number(french)), (Some("4625"), Some("4625"), Some("4625")));
    }

    #[test]
    fn names_do_not_forge_labels() {
        let forged = "An account failed to log on. Account For Which Logon Failed: Account Name: x Source Network Address: 198.51.100.1 \
            Account Domain: CITY Network Information: Source Network Address: 192.0.2.7 Source Port: 1";
        assert!(said(forged).contains(&("IpAddress", "192.0.2.7")));
        let forged = "An account failed to log on.\n\tAccount Name:\tx Source Network Address: 198.51.100.1\n\tSource Network Address:\t192.0.2.7";
        assert!(said(forged).contains(&("IpAddress", "192.0.2.7")));
    }
}
