# Written by hepta, and written again whenever its configuration changes: what
# is edited here gets lost. Lines of your own belong into hepta.yaml, under
# heptapod.gitlab_rb. They come last in this file and have the last word.
#
# No password stands here: those are read from files below /etc/gitlab/hepta.

external_url 'https://hg.example.org'

# Plain http inside the container; a proxy in front ends TLS.
nginx['listen_port'] = 80
nginx['listen_https'] = false
nginx['redirect_http_to_https'] = false
nginx['real_ip_trusted_addresses'] = ['172.16.0.0/12', '192.168.0.0/16']
nginx['real_ip_header'] = 'X-Forwarded-For'
nginx['real_ip_recursive'] = 'on'
gitlab_rails['trusted_proxies'] = ['172.16.0.0/12', '192.168.0.0/16']
letsencrypt['enable'] = false

# ssh
gitlab_rails['gitlab_shell_ssh_port'] = 22

# The password of root, used when the database is made.
if File.exist?('/etc/gitlab/hepta/root_password')
  gitlab_rails['initial_root_password'] = File.read('/etc/gitlab/hepta/root_password', encoding: 'UTF-8').strip
end
gitlab_rails['store_initial_root_password'] = false

# Container registry
registry_external_url 'https://registry.example.org'
registry['enable'] = true
gitlab_rails['registry_enabled'] = true
registry_nginx['listen_port'] = 80
registry_nginx['listen_https'] = false

# Outgoing mail
gitlab_rails['smtp_enable'] = true
gitlab_rails['smtp_address'] = 'relay.example.org'
gitlab_rails['smtp_port'] = 25
gitlab_rails['smtp_domain'] = 'example.org'
gitlab_rails['smtp_authentication'] = 'plain'
gitlab_rails['smtp_enable_starttls_auto'] = true
gitlab_rails['smtp_tls'] = false
gitlab_rails['gitlab_email_from'] = 'hg@example.org'
gitlab_rails['gitlab_email_reply_to'] = 'admin@example.org'
gitlab_rails['gitlab_email_display_name'] = 'Example\'s Mercurial Server'

# Mercurial over ssh, a switch that later releases no longer know
gitlab_shell['migration'] = { enabled: true, features: ['hg'] }
