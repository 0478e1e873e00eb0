"""What the model is told besides the text: first frame, trajectory video, ID reference. Shared with inference."""
