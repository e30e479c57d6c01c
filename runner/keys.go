package runner

import (
	"fmt"
	"strconv"
	"strings"
)

// kind is the type that the runner reads a key as. It refuses the whole
// config.toml for one value of another type.
type kind string

const (
	asText   kind = "text"
	asNumber kind = "whole number"
	asTruth  kind = "boolean"
	asTexts  kind = "list of texts"
	asTable  kind = "mapping"
	asPairs  kind = "mapping of texts"
)

// sectionKeys and dockerKeys are the kinds of the keys of [[runners]] and of
// [runners.docker] that GitLab documents. Others are passed on as they are.
var (
	sectionKeys = keysByKind(map[kind]string{
		asText: `builds_dir cache_dir clone_url shell pre_get_sources_script post_get_sources_script pre_clone_script
			post_clone_script pre_build_script post_build_script unhealthy_interval tls-ca-file tls-cert-file tls-key-file`,
		asNumber: "output_limit request_concurrency unhealthy_requests_limit job_status_final_update_retry_limit",
		asTruth:  "debug_trace_disabled",
		asTable:  "cache custom_build_dir feature_flags referees",
	})
	dockerKeys = keysByKind(map[kind]string{
		asText: `cache_dir cpus cpuset_cpus cpuset_mems gpus helper_image helper_image_flavor host hostname image isolation mac_address
			memory memory_reservation memory_swap network_mode runtime service_cpus service_cpuset_cpus service_gpus service_memory
			service_memory_reservation service_memory_swap tls_cert_path user userns_mode volume_driver`,
		asNumber: "cpu_shares network_mtu oom_score_adjust service_cpu_shares services_limit shm_size wait_for_services_timeout",
		asTruth: `disable_cache disable_entrypoint_overwrite enable_ipv6 helper_image_autoset_arch_and_os oom_kill_disable privileged
			services_privileged tls_verify volume_keep`,
		asTexts: `allowed_groups allowed_images allowed_privileged_images allowed_privileged_services allowed_pull_policies
			allowed_services allowed_users cap_add cap_drop device_cgroup_rules devices dns dns_search extra_hosts group_add links
			security_opt services_security_opt volumes volumes_from`,
		asTable: "services_devices",
		asPairs: "container_labels log_options services_tmpfs sysctls tmpfs ulimit volume_driver_ops",
	})
)

func keysByKind(names map[kind]string) map[string]kind {
	out := map[string]kind{}
	for k, list := range names {
		for _, name := range strings.Fields(list) {
			out[name] = k
		}
	}
	return out
}

// as gives a value, which normal has been through, the type that k stands
// for: a number for a text is its digits, and a text for a list is a list of one.
func (k kind) as(v any) (any, error) {
	ok := true
	switch x := v.(type) {
	case string:
		if k == asTexts {
			return []any{x}, nil
		}
		ok = k == asText
	case int64:
		if k == asText {
			return strconv.FormatInt(x, 10), nil
		}
		ok = k == asNumber
	case float64:
		if k == asText {
			return strconv.FormatFloat(x, 'f', -1, 64), nil
		}
		ok = false
	case bool:
		ok = k == asTruth
	case []any:
		ok = k == asTexts
		for _, e := range x {
			_, is := e.(string)
			ok = ok && is
		}
	case map[string]any:
		if ok = k == asTable || k == asPairs; k == asPairs {
			pairs := make(map[string]any, len(x))
			for name, e := range x {
				var err error
				if pairs[name], err = asText.as(e); err != nil {
					return nil, fmt.Errorf("%s: %w", name, err)
				}
			}
			return pairs, nil
		}
	default:
		ok = false
	}
	if !ok {
		return nil, fmt.Errorf("this is no %s", k)
	}
	return v, nil
}

// typed is a value of a key as config.toml has to have it.
func typed(kinds map[string]kind, key string, v any) (any, error) {
	v, err := normal(v)
	if k, known := kinds[key]; err == nil && known {
		v, err = k.as(v)
	}
	return v, err
}
