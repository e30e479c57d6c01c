# Sends a mail to the address in the first argument, as the forge sends its own,
# and prints how that went behind a marker, since Rails may print notices of its own.
require 'json'
relay = ActionMailer::Base.smtp_settings || {}
report = {
  enabled: Gitlab.config.gitlab.email_enabled, method: ActionMailer::Base.delivery_method.to_s,
  relay: "#{relay[:address]}:#{relay[:port]}"
}
begin
  mail = Notify.test_email(ARGV.fetch(0), 'Test mail of hepta', '<p>The forge sends mail.</p>')
  report[:from] = Array(mail.from).first
  mail.deliver_now
rescue StandardError => e
  report.merge!(error: e.class.name, ancestors: e.class.ancestors.map(&:to_s), message: e.message.to_s.scrub.strip)
end
puts "HEPTA_MAIL=#{JSON.generate(report)}"
