//! The Sigma log source of a Windows event: the service by channel or provider, the category by event number
//! (Sigma taxonomy appendix, "Windows"; `process_creation` and the other generic categories by the numbers that produce them).

use std::collections::HashMap;

use event::{LogSource, LogSourceId};

/// Channels and their Sigma service.
const SERVICES: &[(&str, &str)] = &[
    ("Application", "application"),
    ("Security", "security"),
    ("System", "system"),
    ("Microsoft-Windows-Sysmon/Operational", "sysmon"),
    ("Microsoft-Windows-PowerShell/Operational", "powershell"),
    ("PowerShellCore/Operational", "powershell"),
    ("Windows PowerShell", "powershell-classic"),
    ("Microsoft-Windows-TaskScheduler/Operational", "taskscheduler"),
    ("Microsoft-Windows-WMI-Activity/Operational", "wmi"),
    ("DNS Server", "dns-server"),
    ("Microsoft-Windows-DNS-Server/Analytical", "dns-server-analytic"),
    ("Microsoft-Windows-DNSServer/Audit", "dns-server-audit"),
    ("Microsoft-Windows-DNS Client Events/Operational", "dns-client"),
    ("Microsoft-Windows-DriverFrameworks-UserMode/Operational", "driver-framework"),
    ("Microsoft-Windows-NTLM/Operational", "ntlm"),
    ("DHCP-Server/Operational", "dhcp"),
    ("Microsoft-Windows-DHCP-Server/Operational", "dhcp"),
    ("Microsoft-Windows-Windows Defender/Operational", "windefend"),
    ("Microsoft-Windows-PrintService/Admin", "printservice-admin"),
    ("Microsoft-Windows-PrintService/Operational", "printservice-operational"),
    ("Microsoft-Windows-SmbClient/Security", "smbclient-security"),
    ("Microsoft-Windows-SmbClient/Connectivity", "smbclient-connectivity"),
    ("Microsoft-Windows-SMBServer/Security", "smbserver-security"),
    ("Microsoft-Windows-Windows Firewall With Advanced Security/Firewall", "firewall-as"),
    ("Microsoft-Windows-Bits-Client/Operational", "bits-client"),
    ("Microsoft-Windows-Security-Mitigations/Kernel Mode", "security-mitigations"),
    ("Microsoft-Windows-Security-Mitigations/User Mode", "security-mitigations"),
    ("Microsoft-Windows-Diagnosis-Scripted/Operational", "diagnosis-scripted"),
    ("Microsoft-Windows-Shell-Core/Operational", "shell-core"),
    ("OpenSSH/Operational", "openssh"),
    ("Microsoft-Windows-LDAP-Client/Debug", "ldap"),
    ("Microsoft-Windows-AppLocker/MSI and Script", "applocker"),
    ("Microsoft-Windows-AppLocker/EXE and DLL", "applocker"),
    ("Microsoft-Windows-AppLocker/Packaged app-Deployment", "applocker"),
    ("Microsoft-Windows-AppLocker/Packaged app-Execution", "applocker"),
    ("MSExchange Management", "msexchange-management"),
    ("microsoft-servicebus-client", "microsoft-servicebus-client"),
    ("Microsoft-ServiceBus-Client/Admin", "microsoft-servicebus-client"),
    ("Microsoft-Windows-VHDMP-Operational", "vhdmp"),
    ("Microsoft-Windows-VHDMP/Operational", "vhdmp"),
    ("Microsoft-Windows-AppModel-Runtime/Admin", "appmodel-runtime"),
    ("Microsoft-Windows-AppXDeploymentServer/Operational", "appxdeployment-server"),
    ("Microsoft-Windows-AppxPackaging/Operational", "appxpackaging-om"),
    ("Microsoft-Windows-CodeIntegrity/Operational", "codeintegrity-operational"),
    ("Microsoft-Windows-Kernel-EventTracing", "kernel-event-tracing"),
    ("Microsoft-Windows-Kernel-ShimEngine/Operational", "kernel-shimengine"),
    ("Microsoft-Windows-LSA/Operational", "lsa-server"),
    ("Microsoft-Windows-TerminalServices-LocalSessionManager/Operational", "terminalservices-localsessionmanager"),
    ("Microsoft-Windows-CAPI2/Operational", "capi2"),
    ("Microsoft-Windows-CertificateServicesClient-Lifecycle-System/Operational", "certificateservicesclient-lifecycle-system"),
    ("Microsoft-Windows-SENSE/Operational", "sense"),
    ("Microsoft-Windows-Iis-Configuration/Operational", "iis-configuration"),
    ("Microsoft-IIS-Configuration/Operational", "iis-configuration"),
];

/// Sysmon's event numbers and the Sigma categories that they produce.
const SYSMON: &[(i64, &str)] = &[
    (1, "process_creation"),
    (2, "file_change"),
    (3, "network_connection"),
    (4, "sysmon_status"),
    (5, "process_termination"),
    (6, "driver_load"),
    (7, "image_load"),
    (8, "create_remote_thread"),
    (9, "raw_access_thread"),
    (10, "process_access"),
    (11, "file_event"),
    (12, "registry_event"),
    (13, "registry_set"),
    (14, "registry_rename"),
    (15, "create_stream_hash"),
    (16, "sysmon_status"),
    (17, "pipe_created"),
    (18, "pipe_created"),
    (19, "wmi_event"),
    (20, "wmi_event"),
    (21, "wmi_event"),
    (22, "dns_query"),
    (23, "file_delete"),
    (24, "clipboard_capture"),
    (25, "process_tampering"),
    (26, "file_delete"),
    (27, "file_block_executable"),
    (28, "file_block_shredding"),
    (29, "file_executable_detected"),
    (255, "sysmon_error"),
];

/// Every log source that an event may have, interned once.
pub(super) struct LogSources {
    services: HashMap<&'static str, LogSourceId>,
    sysmon: Vec<(i64, LogSourceId)>,
    process_creation: LogSourceId,
    powershell: [(&'static str, i64, LogSourceId); 5],
    sysmon_other: LogSourceId,
    registry_add: LogSourceId,
    registry_delete: LogSourceId,
    none: LogSourceId,
}

impl LogSources {
    pub(super) fn new() -> LogSources {
        let source = |category: Option<&str>, service: Option<&str>| {
            LogSourceId::intern(LogSource { product: Some("windows"), category, service })
        };
        LogSources {
            services: SERVICES.iter().map(|(channel, service)| (*channel, source(None, Some(service)))).collect(),
            sysmon: SYSMON.iter().map(|(id, category)| (*id, source(Some(category), Some("sysmon")))).collect(),
            process_creation: source(Some("process_creation"), Some("security")),
            powershell: [
                ("Microsoft-Windows-PowerShell/Operational", 4103, source(Some("ps_module"), Some("powershell"))),
                ("Microsoft-Windows-PowerShell/Operational", 4104, source(Some("ps_script"), Some("powershell"))),
                ("PowerShellCore/Operational", 4104, source(Some("ps_script"), Some("powershell"))),
                ("Windows PowerShell", 400, source(Some("ps_classic_start"), Some("powershell-classic"))),
                ("Windows PowerShell", 600, source(Some("ps_classic_provider_start"), Some("powershell-classic"))),
            ],
            sysmon_other: source(None, Some("sysmon")),
            registry_add: source(Some("registry_add"), Some("sysmon")),
            registry_delete: source(Some("registry_delete"), Some("sysmon")),
            none: source(None, None),
        }
    }

    /// By channel and number; the provider stands in where the channel is not told.
    pub(super) fn of(&self, channel: &str, provider: &str, id: i64, event_type: Option<&str>) -> LogSourceId {
        if channel == "Microsoft-Windows-Sysmon/Operational" || provider == "Microsoft-Windows-Sysmon" {
            // Sysmon gives keys and values that come and those that go one number.
            match (id, event_type) {
                (12, Some("CreateKey")) => return self.registry_add,
                (12, Some("DeleteKey" | "DeleteValue")) => return self.registry_delete,
                _ => {}
            }
            return self.sysmon.iter().find(|(number, _)| *number == id).map_or(self.sysmon_other, |(_, source)| *source);
        }
        let security = channel == "Security" || (channel.is_empty() && provider == "Microsoft-Windows-Security-Auditing");
        if security && id == 4688 {
            return self.process_creation;
        }
        if let Some((.., source)) = self.powershell.iter().find(|(of, number, _)| *of == channel && *number == id) {
            return *source;
        }
        let channel = if security { "Security" } else { channel };
        self.services.get(channel).copied().unwrap_or(self.none)
    }
}
