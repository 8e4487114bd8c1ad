package metrics

// Kind is the kind of a metric.
type Kind uint8

// The kinds.
const (
	Counter Kind = iota
	Gauge
	Histogram
)

// Definition is one metric as monitoring sees it. Every label has a closed or configured set of values; no label ever
// holds a domain, an address or any other text of a stranger.
type Definition struct {
	Name   string
	Kind   Kind
	Help   string
	Labels []string
}

// Names of the metrics.
const (
	messagesAccepted   = "postern_messages_accepted_total"
	recipientsAccepted = "postern_recipients_accepted_total"
	bytesAccepted      = "postern_bytes_accepted_total"
	deliveries         = "postern_deliveries_total"
	deliveryDelay      = "postern_delivery_delay_seconds"
	wouldDiffer        = "postern_rules_would_differ_total"
	attempts           = "postern_attempts_total"
	attemptTime        = "postern_attempt_seconds"
	handshakeFailures  = "postern_inbound_handshake_failures_total"
	proxyRefused       = "postern_proxy_refused_total"
	sessions           = "postern_sessions"
	refused            = "postern_refused_total"
	fellShort          = "postern_inbound_short_total"
	webRequests        = "postern_web_requests_total"
	recordFindings     = "postern_records_findings"
	recipientsAsked    = "postern_recipients_asked_total"
	logins             = "postern_logins_total"
	peerChanges        = "postern_peer_changes_total"
	policyFaults       = "postern_policies_unavailable_total"
	tlsReports         = "postern_tls_reports_total"
	reportsIn          = "postern_tls_reports_received_total"
	ruleEffects        = "postern_rule_effects_total"
	notices            = "postern_notices_total"
	raised             = "postern_raised_deliveries_total"
	rulesRevision      = "postern_rules_revision"
	rulesInForce       = "postern_rules"
	tooLate            = "postern_admin_actions_too_late_total"
	adminActions       = "postern_admin_actions_total"
	warnings           = "postern_warnings_total"
	linesLost          = "postern_log_lines_lost_total"
	queueDeliveries    = "postern_queue_deliveries"
	queueBytes         = "postern_queue_bytes"
	queueOldest        = "postern_queue_oldest_timestamp_seconds"
	queueReadable      = "postern_queue_readable"
	ready              = "postern_ready"
	diskFree           = "postern_disk_free_bytes"
	diskKept           = "postern_disk_kept_bytes"
	certificateOrders  = "postern_certificate_orders_total"
	certificateEnd     = "postern_certificate_end_timestamp_seconds"
	reloadGood         = "postern_reload_success"
	reloadAt           = "postern_reload_timestamp_seconds"
	buildInfo          = "postern_build_info"
	dnsValidated       = "postern_dns_validated"
	nodeUp             = "postern_node_up"
	leaseAge           = "postern_node_lease_age_seconds"
	storeLatency       = "postern_node_store_latency_seconds"
)

// Definitions lists every metric, in the order of a message's way.
func Definitions() []Definition {
	return []Definition{
		{sessions, Gauge, "SMTP sessions open now.", []string{"listener"}},
		{handshakeFailures, Counter, "TLS handshakes of clients that failed.", []string{"listener"}},
		{proxyRefused, Counter, "Connections without a good PROXY header.", []string{"listener"}},
		{logins, Counter, "AUTH attempts (ok, failed).", []string{"result"}},
		{refused, Counter, "SMTP commands refused.", []string{"code"}},
		{fellShort, Counter, "Commands refused by rules about incoming mail, and messages that rules on trial " +
			"would have refused.",
			[]string{"reason", "trial"}},
		{recipientsAsked, Counter, "Questions to our own servers whether a recipient exists (known, " +
			"unknown, unanswered).", []string{"result"}},
		{webRequests, Counter, "Requests to listeners of mode web and acme (policy, partners, challenge, " +
			"report, none).", []string{"page"}},
		{certificateOrders, Counter, "Orders at a CA for our own certificate (issued, failed).",
			[]string{"result"}},
		{recordFindings, Gauge, "Findings about the records of our own domains at the last look; `postern " +
			"records --check` shows them.", []string{"code"}},
		{messagesAccepted, Counter, "Messages accepted, by the level of the connection they came over.",
			[]string{"leg", "level"}},
		{recipientsAccepted, Counter, "Recipients of accepted messages.", []string{"leg"}},
		{bytesAccepted, Counter, "Bytes of accepted messages.", []string{"leg"}},
		{attempts, Counter, "Attempts at a next hop; an attempt that carried mail at the level aimed at " +
			"has the reason none.", []string{"leg", "reason"}},
		{attemptTime, Histogram, "How long an attempt took.", []string{"leg"}},
		{deliveries, Counter, "Deliveries settled, by new state, level (reached when delivered, else required) and " +
			"reason.",
			[]string{"leg", "state", "level", "reason"}},
		{deliveryDelay, Histogram, "Time from acceptance to delivery.", []string{"leg"}},
		{wouldDiffer, Counter, "Deliveries whose outcome rules in test mode would have changed.", nil},
		{peerChanges, Counter, "Changes of the servers we send to.", []string{"change"}},
		{policyFaults, Counter, "Failures to get the MTA-STS policy of a domain; kept: one fetched " +
			"earlier counts all the same.",
			[]string{"fault", "kept"}},
		{tlsReports, Counter, "Reports about TLS to other domains (RFC 8460), by way (mail, https) and result " +
			"(sent, failed); a mail is sent when it is queued.",
			[]string{"way", "result"}},
		{reportsIn, Counter, "Reports of others about TLS with us, by way (mail, https), result (kept, copy, " +
			"refused) and whether a signature holds.",
			[]string{"way", "result", "signed"}},
		{ruleEffects, Counter, "What rules did with the mail to recipients, by action and by whether the rule is " +
			"in force or under test (mode).",
			[]string{"effect", "mode"}},
		{notices, Counter, "Notices queued.", []string{"kind"}},
		{raised, Counter, "Waiting deliveries that got a stricter requirement.", nil},
		{rulesRevision, Gauge, "Revision of the rules in force.", nil},
		{rulesInForce, Gauge, "Rules in force.", nil},
		{adminActions, Counter, "Actions of administrators.", nil},
		{tooLate, Counter, "Deliveries that ended though an administrator had asked for something else while they " +
			"were sent.", []string{"action"}},
		{warnings, Counter, "Warnings an administrator should look at.", nil},
		{linesLost, Counter, "Lines of the log that were lost because nobody took them.", nil},
		{queueDeliveries, Gauge, "Deliveries in the store.", []string{"state"}},
		{queueBytes, Gauge, "Bytes of the bodies that wait.", nil},
		{queueOldest, Gauge, "When the oldest waiting delivery was accepted, 0 when none waits.", nil},
		{queueReadable, Gauge, "1 when the store could be counted for this scrape.", nil},
		{ready, Gauge, "1 while the next message would be taken, as /readyz says.", nil},
		{diskFree, Gauge, "Free bytes on the disk of the data folder.", nil},
		{diskKept, Gauge, "Free bytes below which new mail is refused; they are kept for the mail in the queue.", nil},
		{certificateEnd, Gauge, "When our own certificates end, by what they are for (server, client) and their " +
			"first name.", []string{"kind", "name"}},
		{dnsValidated, Gauge, "1 when a DNS resolver's word that an answer is signed is believed; without, no DANE.",
			nil}, {nodeUp, Gauge, "1 while this gateway may take and send mail.", nil},
		{leaseAge, Gauge, "Age of the lease at a shared store.", nil},
		{storeLatency, Gauge, "How long that store took to renew it.", nil},
		{reloadGood, Gauge, "1 when the configuration read last was taken; 0 when it was refused.", nil},
		{reloadAt, Gauge, "When a reload was asked for last, or the start.", nil},
		{buildInfo, Gauge, "1, labelled with what this binary is.", []string{"version", "revision", "go"}},
	}
}
