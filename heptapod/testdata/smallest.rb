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
