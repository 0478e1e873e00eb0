"""What a model is trained to predict: flow matching (Wan) and v-prediction (CogVideoX)."""
