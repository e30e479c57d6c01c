# Written by hepta, and written again whenever its configuration changes: what
# is edited here gets lost. Lines of your own belong into hepta.yaml, under
# heptapod.gitlab_rb. They come last in this file and have the last word.
#
# No password stands here: those are read from files below /etc/gitlab/hepta.

external_url 'https://gitlab.example.org'

# Plain http inside the container; a proxy in front ends TLS.
nginx['listen_port'] = 80
nginx['listen_https'] = false
nginx['redirect_http_to_https'] = false
nginx['real_ip_trusted_addresses'] = ['10.0.0.0/8', '192.168.0.0/16']
nginx['real_ip_header'] = 'X-Forwarded-For'
nginx['real_ip_recursive'] = 'on'
gitlab_rails['trusted_proxies'] = ['10.0.0.0/8', '192.168.0.0/16']
letsencrypt['enable'] = false

# ssh
gitlab_rails['gitlab_shell_ssh_port'] = 2223

# The password of root, used when the database is made.
if File.exist?('/etc/gitlab/hepta/root_password')
  gitlab_rails['initial_root_password'] = File.read('/etc/gitlab/hepta/root_password', encoding: 'UTF-8').strip
end
gitlab_rails['store_initial_root_password'] = false

# Container registry
registry_external_url 'https://registry.example.org'
registry['enable'] = true
gitlab_rails['registry_enabled'] = true
registry_nginx['listen_port'] = 5050
registry_nginx['listen_https'] = false

# Outgoing mail
gitlab_rails['smtp_enable'] = true
gitlab_rails['smtp_address'] = 'smtp-service.local'
gitlab_rails['smtp_port'] = 25
gitlab_rails['smtp_user_name'] = 'o\'neill'
gitlab_rails['smtp_password'] = File.read('/etc/gitlab/hepta/smtp_password', encoding: 'UTF-8').strip
gitlab_rails['smtp_authentication'] = 'login'
gitlab_rails['smtp_enable_starttls_auto'] = false
gitlab_rails['smtp_tls'] = false
gitlab_rails['gitlab_email_from'] = 'gitlab@example.org'

# Limit on failed logins, and addresses that it does not lock out
gitlab_rails['rack_attack_git_basic_auth'] = {
  'enabled' => true,
  'ip_whitelist' => ['127.0.0.1', '10.1.2.3'],
  'maxretry' => 30,
  'bantime' => 600,
}

# Services
alertmanager['enable'] = false
prometheus['enable'] = false

# heptapod.gitlab_rb
gitlab_rails['time_zone'] = 'Europe/Warsaw'
registry['env'] = { 'REGISTRY_HTTP_RELATIVEURLS' => true }
