"""Which types of components there are, which are gone, and which signals connectors take and give.

Source: the modules and release notes of the OpenTelemetry Collector and its contrib distribution, version 0.149. Data only.
"""

from __future__ import annotations

VERSION = "v0.149.0"
"""The version of the Collector, core and contrib, that the data speaks of."""


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


# Every name that a configuration may use: some types have two, the newer with underscores.
KNOWN: dict[str, frozenset[str]] = {
    "receivers": _words(
        """
        active_directory_ds aerospike apache apachespark awscloudwatch awscontainerinsightreceiver
        awsecscontainermetrics awsfirehose awslambda awss3 awsxray azureblob azureeventhub azure_event_hub azuremonitor
        azure_monitor bigip carbon chrony cisco_os cloudflare cloudfoundry collectd couchdb datadog docker_stats
        elasticsearch envoyals expvar faro file_log filelog file_stats filestats flinkmetrics fluentforward
        fluent_forward github gitlab googlecloudmonitoring googlecloudpubsub googlecloudspanner haproxy host_metrics
        hostmetrics httpcheck http_check huaweicloudcesreceiver icmpcheck icmpcheckreceiver iis influxdb jaeger jmx
        journald k8s_cluster k8s_events k8slog k8sobjects k8s_objects k8s_log kafka kafka_metrics kafkametrics
        kubeletstats kubelet_stats libhoney loki memcached mongodb mongodbatlas mysql namedpipe named_pipe netflow nginx
        nop nsxt ntp oracledb osquery otelarrow otlp otlpjsonfile otlp_json_file podman_stats postgresql pprof
        prometheus prometheus_simple prometheusremotewrite prometheus_remote_write pulsar purefa purefb rabbitmq
        receiver_creator redfish redis riak saphana signalfx simpleprometheus skywalking snmp snowflake solace
        splunk_hec splunkenterprise sqlquery sql_query sqlserver sql_server sshcheck ssh_check statsd stef syslog
        systemd tcpcheck tcp_check tcplog tcp_log tlscheck tls_check udplog udp_log vcenter vcr vault wavefront
        webhookevent webhook_event windowseventlog windows_event_log windowsperfcounters windows_perf_counters
        windows_service windowsservice yanggrpc zipkin zookeeper
        """
    ),
    "processors": _words(
        """
        attributes batch coralogix cumulativetodelta cumulative_to_delta datadogsemantics deltatocumulative
        delta_to_cumulative deltatorate delta_to_rate dns_lookup drain filter geoip geo_ip groupbyattrs group_by_attrs
        groupbytrace group_by_trace interval isolationforest k8s_attributes k8sattributes logdedup log_dedup
        logstransform lookup memory_limiter metricsgeneration metrics_generation metricstarttime metric_start_time
        metricstransform metrics_transform probabilistic_sampler redaction remotetap remote_tap resource
        resourcedetection resource_detection schema span spanpruning span_pruning sumologic tail_sampling transform
        unroll
        """
    ),
    "exporters": _words(
        """
        alertmanager alibabacloud_logservice awscloudwatchlogs awsemf awskinesis awss3 awsxray azureblob
        azuredataexplorer azure_data_explorer azuremonitor azure_monitor bmchelix carbon cassandra clickhouse coralogix
        datadog dataset debug doris elasticsearch faro file googlecloud googlecloudpubsub googlecloudstorage
        googlemanagedprometheus honeycombmarker influxdb kafka load_balancing loadbalancing logicmonitor logzio mezmo
        nop opensearch otelarrow otlp otlp_grpc otlp_http otlphttp prometheus prometheusremotewrite
        prometheus_remote_write pulsar rabbitmq sapm sematext sentry signalfx splunk_hec stef sumologic syslog
        tencentcloud_logservice tinybird zipkin
        """
    ),
    "connectors": _words(
        """
        count datadog exceptions failover forward grafanacloud metricsaslogs metrics_as_logs otlpjson otlp_json
        roundrobin round_robin routing servicegraph service_graph signaltometrics signal_to_metrics slowsql spanmetrics
        span_metrics sum
        """
    ),
    "extensions": _words(
        """
        ack asapclient aws_proxy awsproxy awscloudwatchmetricstreams_encoding aws_logs_encoding azure_auth
        azure_encoding avro_log_encoding basicauth bearertokenauth cfgarden_observer cgroup_runtime datadog db_storage
        docker_observer ecs_observer ecs_task_observer file_storage google_cloud_logentry_encoding googleclientauth
        headers_setter health_check healthcheckv2 host_observer http_forwarder jaeger_encoding jaegerremotesampling
        json_log_encoding k8s_leader_elector k8s_observer kafkatopics_observer memory_limiter oauth2client oidc opamp
        openshift_encoding otlp_encoding pebble_storage pprof redis_storage remotetap sigv4auth skywalking_encoding
        solarwindsapmsettings sumologic text_encoding zipkin_encoding zpages nop
        """
    ),
}

# Type to what stands in its place now; no Collector of the version has it any more.
REMOVED: dict[str, dict[str, str]] = {
    "receivers": {
        "opencensus": "otlp",
        "prometheus_exec": "prometheus",
        "promtail": "loki",
        "sapm": "otlp",
        "spanmetrics": "spanmetrics (connectors)",
    },
    "processors": {
        "queued_retry": "sending_queue, retry_on_failure (exporters)",
        "k8s_tagger": "k8s_attributes",
        "spanmetrics": "spanmetrics (connectors)",
        "servicegraph": "servicegraph (connectors)",
        "routing": "routing (connectors)",
        "experimental_metricsgeneration": "metricsgeneration",
    },
    "exporters": {
        "logging": "debug",
        "jaeger": "otlp",
        "jaeger_thrift": "otlp",
        "loki": "otlphttp",
        "opencensus": "otlp",
        "parquet": "file",
        "skywalking": "otlp",
        "instana": "otlp",
        "dynatrace": "otlphttp",
        "f5cloud": "otlphttp",
        "humio": "otlphttp",
        "elastic": "otlp",
        "tanzuobservability": "otlp",
        "stackdriver": "googlecloud",
    },
    "connectors": {},
    "extensions": {
        "memory_ballast": "GOMEMLIMIT",
        "oauth2clientauth": "oauth2client",
    },
}

# What nobody calls a component: settings that slipped a level up, by bad indentation.
SETTINGS_NOT_TYPES = _words(
    """
        protocols grpc http endpoint endpoints tls headers timeout verbosity check_interval limit_mib spike_limit_mib
        limit_percentage send_batch_size send_batch_max_size sending_queue retry_on_failure compression auth cors
        keepalive actions scrapers collection_interval include exclude operators config scrape_configs brokers
        """
)

_SAME = frozenset({("traces", "traces"), ("metrics", "metrics"), ("logs", "logs"), ("profiles", "profiles")})
_ANY_TO_METRICS = frozenset(
    {("traces", "metrics"), ("metrics", "metrics"), ("logs", "metrics"), ("profiles", "metrics")}
)
CONNECTOR_SIGNALS: dict[str, frozenset[tuple[str, str]]] = {
    "count": _ANY_TO_METRICS,
    "exceptions": frozenset({("traces", "metrics"), ("traces", "logs")}),
    "failover": _SAME,
    "forward": _SAME,
    "routing": _SAME,
    "roundrobin": _SAME,
    "round_robin": _SAME,
    "servicegraph": frozenset({("traces", "metrics")}),
    "service_graph": frozenset({("traces", "metrics")}),
    "signaltometrics": _ANY_TO_METRICS,
    "signal_to_metrics": _ANY_TO_METRICS,
    "spanmetrics": frozenset({("traces", "metrics")}),
    "span_metrics": frozenset({("traces", "metrics")}),
    "sum": frozenset({("traces", "metrics"), ("metrics", "metrics"), ("logs", "metrics")}),
}
"""Which signal each takes and which it then gives; of others that is not known."""
